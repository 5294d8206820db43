// Packs of weights: any bytes give an index whose every matrix lies in the file, or one error. The first byte chooses
// whether the checksums are made to match, without which nothing behind them would be reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backend/cpu/pack_file.h"

namespace {

volatile uint64_t sink_of_reads;

void require(bool condition) {
  if (!condition) std::abort();
}

uint64_t load_u64(const std::vector<std::byte>& file, size_t at) {
  uint64_t v;
  std::memcpy(&v, file.data() + at, sizeof v);
  return v;
}

// `entries`: how many the table at the end is made to have; 0 leaves that to the input.
void seal(std::vector<std::byte>& file, uint64_t entries) {
  const uint64_t size = file.size();
  std::memcpy(file.data() + 32, &size, sizeof size);
  if (entries > 0 && size >= quern::kPackHeaderBytes + entries * 64 + 8) {
    const uint64_t place[] = {size - entries * 64 - 8, entries, 0};
    std::memcpy(file.data() + 40, place, sizeof place);
  }
  const uint64_t table = load_u64(file, 40);
  if (table <= size) {
    const auto d = quern::digest(std::span(file).subspan(table));
    std::memcpy(file.data() + 64, d.data(), d.size());
  }
  const auto d = quern::digest(std::span(file).first(80));
  std::memcpy(file.data() + 80, d.data(), d.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 97) return 0;
  // The input is the used part of a header, then the table; the unused rest of the header is put between.
  std::vector<std::byte> file(quern::kPackHeaderBytes);
  std::memcpy(file.data(), data + 1, 96);
  const auto* rest = reinterpret_cast<const std::byte*>(data) + 97;
  file.insert(file.end(), rest, rest + (size - 97));
  if (data[0] % 4 != 0) {
    std::memcpy(file.data(), "QUERNPK\n\1\0\0\0", 12);
    seal(file, data[0] / 4 % 8);
  }
  const auto index = quern::parse_pack(file);
  if (!index) {
    require(!index.error().message.empty());
    require(!quern::verify_pack(file).has_value());
    return 0;
  }
  uint64_t sum = quern::verify_pack(file).has_value() ? 1 : 0;
  for (const auto& entry : index->entries) {
    const auto bytes = std::span(file).subspan(entry.offset, entry.bytes);
    sum += static_cast<uint64_t>(bytes.front()) + static_cast<uint64_t>(bytes.back());
    require(entry.same_matrix(entry));
  }
  // What was read is written as it was.
  const auto table = quern::pack_table_bytes(*index);
  require(std::memcmp(table.data(), file.data() + index->table_offset, table.size()) == 0);
  const auto header = quern::pack_header_bytes(*index, table);
  require(std::memcmp(header.data(), file.data(), 96) == 0);
  sink_of_reads = sum;
  return 0;
}
