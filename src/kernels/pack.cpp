#include "kernels/pack.h"

#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "kernels/kernels.h"

namespace quern {

namespace {

constexpr size_t kLaneBytes = 64;  // 16 rows x 4 columns of one byte

PackedLayout block_layout(const FormatInfo& f) {
  PackedLayout p;
  if (f.is_float) {
    p.low_bytes = kGroupRows * kActBlock * f.block_bytes;  // block_bytes: of one element
    return p;
  }
  const size_t low_bits = f.bits == 8 ? 8 : (f.bits >= 4 ? 4 : 2);
  p.low_bytes = kLaneBytes * low_bits;
  p.high_bytes = kLaneBytes * (f.bits - low_bits);
  if (!f.has_scales) {
    p.scale_bytes = kGroupRows * (f.type == TensorType::kMXFP4 ? 1 : 2) * (f.has_min ? 2 : 1);
    return p;
  }
  p.header_bytes = kGroupRows * 2 * (f.has_min ? 2 : 1);
  const size_t subs = kActBlock / f.sub_block;
  const bool nibble_pairs = f.has_min && f.sub_block == 16;
  p.scale_bytes = kGroupRows * subs * (f.has_min && !nibble_pairs ? 2 : 1);
  return p;
}

uint32_t load_word(const uint8_t* p) {
  uint32_t w;
  std::memcpy(&w, p, 4);
  return w;
}
void store_word(uint8_t* p, uint32_t w) {
  std::memcpy(p, &w, 4);
}

// Spreads one row's 32 codes into its lane of the low and high planes, four codes (a word) at a time: codes are shorter
// than a byte, so shifting the word shifts each of them.
void put_codes(const FormatInfo& f, const uint8_t* code, size_t row, uint8_t* low, uint8_t* high) {
  constexpr uint32_t kOnes = 0x01010101u;
  uint32_t w[8];
  for (size_t c = 0; c < 8; ++c) w[c] = load_word(code + 4 * c);
  low += 4 * row;
  high += 4 * row;
  if (f.bits == 8) {
    for (size_t c = 0; c < 8; ++c) store_word(low + c * kLaneBytes, w[c]);
    return;
  }
  uint32_t top = 0;  // one bit plane
  if (f.bits >= 4) {
    for (size_t c = 0; c < 4; ++c) {
      store_word(low + c * kLaneBytes, (w[c] & 15 * kOnes) | ((w[c + 4] & 15 * kOnes) << 4));
    }
    for (size_t c = 0; c < 8; ++c) top |= ((w[c] >> 4) & kOnes) << c;
    if (f.bits == 5) store_word(high, top);
    for (size_t v = 0; f.bits == 6 && v < 2; ++v) {
      uint32_t pairs = 0;
      for (size_t c = 0; c < 4; ++c) pairs |= ((w[4 * v + c] >> 4) & 3 * kOnes) << (2 * c);
      store_word(high + v * kLaneBytes, pairs);
    }
    return;
  }
  for (size_t v = 0; v < 2; ++v) {  // 2 and 3 bits
    uint32_t pairs = 0;
    for (size_t c = 0; c < 4; ++c) pairs |= (w[4 * v + c] & 3 * kOnes) << (2 * c);
    store_word(low + v * kLaneBytes, pairs);
  }
  for (size_t c = 0; c < 8; ++c) top |= ((w[c] >> 2) & kOnes) << c;
  if (f.bits == 3) store_word(high, top);
}

void put_f16(std::byte* at, size_t row, float value) {
  const uint16_t h = f32_to_f16(value);
  std::memcpy(at + row * 2, &h, 2);
}

// One source block (32 or 256 columns) of one row into the runs of its group. `run` is where the run of this block
// (header first, for formats of 256) begins.
void put_block(const FormatInfo& f, const PackedLayout& p, const BlockCodes& codes, size_t row, std::byte* run) {
  const size_t block_bytes = p.low_bytes + p.high_bytes + p.scale_bytes;
  if (p.header_bytes > 0) {
    put_f16(run, row, codes.d);
    if (f.has_min) put_f16(run + 2 * kGroupRows, row, codes.m);
  }
  const size_t subs = kActBlock / f.sub_block;
  for (size_t b = 0; b < f.block_elems / kActBlock; ++b) {
    std::byte* block = run + p.header_bytes + b * block_bytes;
    auto* low = reinterpret_cast<uint8_t*>(block);
    put_codes(f, codes.code + b * kActBlock, row, low, low + p.low_bytes);
    std::byte* scales = block + p.low_bytes + p.high_bytes;
    if (!f.has_scales) {
      if (p.scale_bytes == kGroupRows) {  // E8M0: keep the exponent byte; d is a power of two
        const auto bits = std::bit_cast<uint32_t>(codes.d);
        scales[row] = static_cast<std::byte>(bits >= 0x00800000u ? (bits >> 23) + 1 : bits >> 22);
      } else {
        put_f16(scales, row, codes.d);
        if (f.has_min) put_f16(scales + 2 * kGroupRows, row, codes.m);
      }
      continue;
    }
    for (size_t s = 0; s < subs; ++s) {
      const size_t at = b * subs + s;
      const auto scale = static_cast<uint8_t>(codes.scale[at]);
      if (f.has_min && f.sub_block == 16) {
        scales[s * kGroupRows + row] = static_cast<std::byte>(scale | (codes.min[at] << 4));
      } else {
        scales[s * kGroupRows + row] = static_cast<std::byte>(scale);
        if (f.has_min) scales[(subs + s) * kGroupRows + row] = static_cast<std::byte>(codes.min[at]);
      }
    }
  }
}

void pack_float_group(const FormatInfo& f, const std::byte* src, size_t n_rows, size_t cols, std::byte* dst) {
  const size_t size = f.block_bytes;
  for (size_t r = 0; r < n_rows; ++r) {
    const std::byte* row = src + r * cols * size;
    for (size_t k = 0; k < cols; ++k) std::memcpy(dst + (k * kGroupRows + r) * size, row + k * size, size);
  }
}

}  // namespace

Result<PackedLayout> packed_layout(const FormatInfo& f, size_t rows, size_t cols) {
  if (rows == 0 || cols == 0 || cols % f.block_elems != 0) {
    return fail_f(ErrorCode::kCorrupt, "a {} x {} matrix cannot be stored as {}, whose blocks hold {} columns", rows,
                  cols, f.name, f.block_elems);
  }
  PackedLayout p = block_layout(f);
  std::optional<uint64_t> group;
  if (f.is_float) {
    group = checked_mul(kGroupRows * f.block_bytes, cols);
  } else {
    group = checked_mul(cols / kActBlock, p.low_bytes + p.high_bytes + p.scale_bytes);
    if (group && p.header_bytes > 0) group = checked_add(*group, cols / f.block_elems * p.header_bytes);
  }
  // A group starts at a cache line so that vector loads do not straddle two.
  if (group) group = checked_align_up(*group, 64);
  const auto total = group ? checked_mul(*group, div_up(rows, kGroupRows)) : std::nullopt;
  if (!total)
    return fail_f(ErrorCode::kCorrupt, "a {} x {} matrix of {} overflows the address space", rows, cols, f.name);
  p.group_bytes = *group;
  p.total_bytes = *total;
  return p;
}

void pack_groups(const FormatInfo& f, const PackedLayout& p, std::span<const std::byte> src, size_t rows, size_t cols,
                 size_t group_begin, size_t group_end, std::byte* dst) {
  const size_t row_bytes = cols / f.block_elems * f.block_bytes;
  const size_t run_bytes = p.header_bytes + f.block_elems / kActBlock * (p.low_bytes + p.high_bytes + p.scale_bytes);
  for (size_t g = group_begin; g < group_end; ++g) {
    std::byte* group = dst + g * p.group_bytes;
    std::memset(group, 0, p.group_bytes);
    const size_t first = g * kGroupRows;
    const size_t n = rows - first < kGroupRows ? rows - first : kGroupRows;
    if (f.is_float) {
      pack_float_group(f, src.data() + first * row_bytes, n, cols, group);
      continue;
    }
    BlockCodes codes;
    for (size_t r = 0; r < n; ++r) {
      const std::byte* row = src.data() + (first + r) * row_bytes;
      for (size_t b = 0; b < cols / f.block_elems; ++b) {
        f.explode(row + b * f.block_bytes, codes);
        put_block(f, p, codes, r, group + b * run_bytes);
      }
    }
  }
}

}  // namespace quern
