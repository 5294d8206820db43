#include "backend/cpu/pack_file.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/byte_reader.h"
#include "base/checked.h"

namespace quern {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian, and mapped as it is");

constexpr char kMagic[8] = {'Q', 'U', 'E', 'R', 'N', 'P', 'K', '\n'};
constexpr size_t kHeaderUsed = kPackUnsyncedOffset + sizeof(Digest);
constexpr size_t kHeaderDigest = 80, kEntryBytes = 64;
static_assert(kHeaderDigest + sizeof(Digest) == kPackUnsyncedOffset);

class ByteWriter {
 public:
  template <class T>
  void put(const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> bytes_;
};

Result<Digest> read_digest(ByteReader& in, std::string_view what) {
  QUERN_TRY(const auto bytes, in.take(sizeof(Digest), what));
  Digest d;
  std::memcpy(d.data(), bytes.data(), sizeof d);
  return d;
}

size_t window_count(uint64_t table_offset) {
  return static_cast<size_t>(table_offset / kPackWindow + (table_offset % kPackWindow != 0));
}

Result<PackEntry> read_entry(ByteReader& in, uint64_t weights_end) {
  PackEntry e;
  QUERN_TRY(e.name, read_digest(in, "a tensor's name"));
  QUERN_TRY(e.first_row, in.read<uint64_t>("a tensor's first row"));
  QUERN_TRY(e.rows, in.read<uint64_t>("a tensor's rows"));
  QUERN_TRY(e.cols, in.read<uint64_t>("a tensor's columns"));
  QUERN_TRY(e.offset, in.read<uint64_t>("a tensor's offset"));
  QUERN_TRY(e.bytes, in.read<uint64_t>("a tensor's bytes"));
  QUERN_TRY(const uint64_t format, in.read<uint64_t>("a tensor's format"));
  e.format = static_cast<uint32_t>(format);
  const auto end = checked_add(e.offset, e.bytes);
  if (format > UINT32_MAX || e.bytes == 0 || e.offset % kPackAlignment != 0 || e.offset < kPackHeaderBytes || !end ||
      *end > weights_end) {
    return fail_f(ErrorCode::kCorrupt, "a tensor of {} bytes at {} does not lie in the weights, which end at {}",
                  e.bytes, e.offset, weights_end);
  }
  return e;
}

struct Extents {
  uint64_t table_offset, n_entries;
};

// Everything of the header; what it says of the table's place has been held against the file.
Result<Extents> read_header(std::span<const std::byte> file, PackIndex& index, Digest& table_digest) {
  if (file.size() < kPackHeaderBytes) {
    return fail_f(ErrorCode::kCorrupt, "a pack of {} bytes is shorter than its header", file.size());
  }
  ByteReader in(file.first(kHeaderUsed));
  QUERN_TRY(const auto magic, in.take(sizeof kMagic, "magic"));
  QUERN_TRY(const uint32_t version, in.read<uint32_t>("version"));
  if (std::memcmp(magic.data(), kMagic, sizeof kMagic) != 0 || version != kPackFileVersion) {
    return fail(ErrorCode::kCorrupt, "no pack of this version");
  }
  QUERN_TRY(index.header.layout, in.read<uint32_t>("layout"));
  QUERN_TRY(index.header.content, read_digest(in, "key"));
  Extents at{};
  QUERN_TRY(const uint64_t file_bytes, in.read<uint64_t>("length"));
  QUERN_TRY(at.table_offset, in.read<uint64_t>("place of the table"));
  QUERN_TRY(at.n_entries, in.read<uint64_t>("length of the table"));
  QUERN_TRY(const uint64_t reserved, in.read<uint64_t>("reserved"));
  QUERN_TRY(table_digest, read_digest(in, "checksum of the table"));
  QUERN_TRY(const Digest own, read_digest(in, "checksum of the header"));
  QUERN_TRY(index.header.unsynced, read_digest(in, "boot id"));
  if (own != digest(file.first(kHeaderDigest)) || reserved != 0) {
    return fail(ErrorCode::kCorrupt, "the header does not match its checksum");
  }
  if (file_bytes != file.size()) {
    return fail_f(ErrorCode::kCorrupt, "the file has {} bytes, its header says {}", file.size(), file_bytes);
  }
  if (at.n_entries > kMaxPackEntries || at.table_offset < kPackHeaderBytes || at.table_offset > file_bytes ||
      file_bytes - at.table_offset != at.n_entries * kEntryBytes + window_count(at.table_offset) * sizeof(uint64_t)) {
    return fail_f(ErrorCode::kCorrupt, "a table of {} tensors at byte {} does not end with the file of {}",
                  at.n_entries, at.table_offset, file_bytes);
  }
  return at;
}

}  // namespace

uint64_t pack_window_checksum(std::span<const std::byte> window) {
  return XXH3_64bits(window.data(), window.size());
}

Result<PackIndex> parse_pack(std::span<const std::byte> file) {
  PackIndex index;
  Digest table_digest;
  QUERN_TRY(const Extents at, read_header(file, index, table_digest));
  const auto table = file.subspan(at.table_offset);
  if (digest(table) != table_digest) return fail(ErrorCode::kCorrupt, "the table does not match its checksum");
  index.table_offset = at.table_offset;
  ByteReader in(table);
  for (uint64_t i = 0; i < at.n_entries; ++i) {
    QUERN_TRY(index.entries.emplace_back(), read_entry(in, at.table_offset));
  }
  while (in.remaining() > 0) {
    QUERN_TRY(index.windows.emplace_back(), in.read<uint64_t>("checksum"));
  }
  return index;
}

std::vector<std::byte> pack_table_bytes(const PackIndex& index) {
  ByteWriter out;
  for (const PackEntry& e : index.entries) {
    out.put(e.name);
    for (const uint64_t v : {e.first_row, e.rows, e.cols, e.offset, e.bytes, uint64_t{e.format}}) out.put(v);
  }
  for (const uint64_t checksum : index.windows) out.put(checksum);
  return std::move(out.bytes_);
}

std::vector<std::byte> pack_header_bytes(const PackIndex& index, std::span<const std::byte> table) {
  ByteWriter out;
  out.put(kMagic);
  out.put(kPackFileVersion);
  out.put(index.header.layout);
  out.put(index.header.content);
  out.put(uint64_t{index.table_offset + table.size()});
  out.put(index.table_offset);
  out.put(uint64_t{index.entries.size()});
  out.put(uint64_t{0});
  out.put(digest(table));
  out.put(digest(out.bytes_));
  out.put(index.header.unsynced);
  out.bytes_.resize(kPackHeaderBytes);
  return std::move(out.bytes_);
}

WindowExtent pack_window(size_t i, uint64_t table_offset) {
  const uint64_t begin = uint64_t{i} * kPackWindow;
  return {std::max<uint64_t>(begin, kPackHeaderBytes), std::min<uint64_t>(begin + kPackWindow, table_offset)};
}

Status verify_pack(std::span<const std::byte> file) {
  QUERN_TRY(const PackIndex index, parse_pack(file));
  for (size_t i = 0; i < index.windows.size(); ++i) {
    const auto [begin, end] = pack_window(i, index.table_offset);
    if (pack_window_checksum(file.subspan(begin, end - begin)) != index.windows[i]) {
      return fail_f(ErrorCode::kCorrupt, "weights at byte {} do not match their checksum", begin);
    }
  }
  return {};
}

}  // namespace quern
