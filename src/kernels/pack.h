// Packed weights: rows interleaved across vector lanes, one layout for every ISA.
//
// A matrix of rows x cols becomes groups of 16 rows (the last one padded with zero rows). A group is a run of blocks of
// 32 columns; in a block, lane r of a vector belongs to row r of the group, and four consecutive columns of a row lie
// in one 32-bit lane ("chunk" c holds columns 4c .. 4c + 3). Byte layout of a block, in this order:
//
//   low    bits 8: chunk 0 .. 7, 64 bytes each, byte 4 * row + j
//          bits 4, 5, 6: 4 x 64 bytes; vector c holds chunk c in its low nibbles and chunk c + 4 in its high ones
//          bits 2, 3: 2 x 64 bytes; vector v holds chunks 4v .. 4v + 3, chunk c in bits 2(c % 4)
//   high   bits 5, 3: 64 bytes, bit c of byte 4 * row + j is the top bit of chunk c
//          bits 6: 2 x 64 bytes like bits 2, the top two bits
//   scales one entry per row: f16 d (and f16 m) of formats with one scale per 32, or the sub-scales of K-quants: 16
//   bytes
//          per 32 columns (two times 16 for sub-blocks of 16), then 16 bytes of minimums; Q2_K keeps scale | min << 4
//
// Formats of 256 columns precede each eight blocks with 16 f16 d (and 16 f16 m). Float formats interleave elements:
// column k of the 16 rows is contiguous. Bits and order of the arithmetic: docs/numerics.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "quant/format.h"

namespace quern {

// Raised whenever the bytes that pack_groups makes of any format change: packed weights are kept on disk
// (backend/cpu/pack_cache.h). The layout is the same for every ISA.
inline constexpr uint32_t kPackedLayoutVersion = 1;

// How one format lies in memory once packed; every field follows from its FormatInfo.
struct PackedLayout {
  size_t low_bytes = 0, high_bytes = 0, scale_bytes = 0;  // of a block of 32 columns, all 16 rows
  size_t header_bytes = 0;                                // of a run of 256 columns
  size_t group_bytes = 0;                                 // of a whole group of 16 rows
  size_t total_bytes = 0;
};

// Fails when the shape cannot be packed (no rows, or cols not a multiple of the format's block) or overflows.
Result<PackedLayout> packed_layout(const FormatInfo& format, size_t rows, size_t cols);

// Packs groups [group_begin, group_end) of a matrix whose rows lie one after the other in the file's format.
// `src` holds all rows, `dst` layout.total_bytes. Threads may pack disjoint groups at the same time.
void pack_groups(const FormatInfo& format, const PackedLayout& layout, std::span<const std::byte> src, size_t rows,
                 size_t cols, size_t group_begin, size_t group_end, std::byte* dst);

}  // namespace quern
