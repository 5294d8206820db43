// The file of packed weights (.qpack): what make_matrix makes of a model's tensors, as it lies in memory, so that the
// next load maps it. Grammar in docs/formats.md.
//
// A file is made for one content of a model's files and one packed layout, both in its header. The header and the table
// are checked whole by parse(); the weights have checksums, which only verify() reads: a load that reads them all would
// not be instant. Pure functions of bytes; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace quern {

// One matrix in the file. Its shape is compared with the model's before the bytes are used.
struct PackEntry {
  Digest name{};  // digest of the tensor's name
  uint64_t first_row = 0, rows = 0, cols = 0;
  uint64_t offset = 0, bytes = 0;  // in the file, of the packed form
  uint32_t format = 0;             // the format's id in GGUF
  [[nodiscard]] bool same_matrix(const PackEntry& other) const {
    return name == other.name && first_row == other.first_row && rows == other.rows && cols == other.cols &&
           format == other.format && bytes == other.bytes;
  }
};

inline constexpr uint32_t kPackFileVersion = 1;
inline constexpr size_t kPackHeaderBytes = 4096;        // weights begin here
inline constexpr size_t kPackAlignment = 64;            // of each matrix
inline constexpr size_t kPackWindow = size_t{2} << 20;  // weights that share a checksum
inline constexpr size_t kPackUnsyncedOffset = 96;       // of PackHeader::unsynced
inline constexpr size_t kMaxPackEntries = size_t{1} << 20;

struct PackHeader {
  uint32_t layout = 0;  // kPackedLayoutVersion
  Digest content{};     // of the model's files
  // The boot id of the system that wrote the file, until it is known to be on the disk; then zero. Under another boot
  // id such a file may have lost pages in a power cut, and is not to be used. Outside the header's checksum, because it
  // is cleared in place.
  Digest unsynced{};
};

struct PackIndex {
  PackHeader header;
  uint64_t table_offset = 0;  // where the weights end
  std::vector<PackEntry> entries;
  std::vector<uint64_t> windows;  // XXH3-64 of each kPackWindow of the file, header and table left out
};

// The index of a whole file. kCorrupt says what is wrong; every entry of a result lies inside the weights.
Result<PackIndex> parse_pack(std::span<const std::byte> file);

// The two parts of a file that are not weights, for one whose table begins at `index.table_offset`.
std::vector<std::byte> pack_header_bytes(const PackIndex& index, std::span<const std::byte> table);
std::vector<std::byte> pack_table_bytes(const PackIndex& index);

uint64_t pack_window_checksum(std::span<const std::byte> window);

// The part of window `i` that holds weights: [begin, end).
struct WindowExtent {
  uint64_t begin, end;
};
WindowExtent pack_window(size_t i, uint64_t table_offset);

// Reads all the weights of a file against their checksums.
Status verify_pack(std::span<const std::byte> file);

}  // namespace quern
