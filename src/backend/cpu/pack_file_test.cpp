// Packs as bytes: what was written is read, anything else is refused.
#include "backend/cpu/pack_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"

namespace quern {
namespace {

using testing::HasSubstr;

Digest some_digest(uint8_t seed) {
  Digest d;
  d.fill(seed);
  return d;
}

// A whole file with two matrices, of which the second crosses into the second window.
std::vector<std::byte> sample(PackIndex* out = nullptr) {
  PackIndex index;
  index.header = {.layout = 7, .content = some_digest(1), .unsynced = some_digest(2)};
  index.table_offset = kPackWindow + 4096;
  index.entries = {{.name = some_digest(3), .rows = 16, .cols = 32, .offset = 4096, .bytes = 640, .format = 2},
                   {.name = some_digest(4),
                    .first_row = 5,
                    .rows = 64,
                    .cols = 64,
                    .offset = 4096 + 640,
                    .bytes = kPackWindow - 640,
                    .format = 8}};
  std::vector<std::byte> file(index.table_offset);
  SplitMix64 rng(1);
  for (size_t i = kPackHeaderBytes; i < file.size(); ++i) file[i] = static_cast<std::byte>(rng.next());
  for (size_t i = 0; i < 2; ++i) {
    const auto [begin, end] = pack_window(i, index.table_offset);
    index.windows.push_back(pack_window_checksum(std::span(file).subspan(begin, end - begin)));
  }
  const auto table = pack_table_bytes(index);
  file.insert(file.end(), table.begin(), table.end());
  const auto header = pack_header_bytes(index, table);
  std::copy(header.begin(), header.end(), file.begin());
  if (out != nullptr) *out = index;
  return file;
}

TEST(PackFile, ReadsWhatWasWritten) {
  PackIndex index;
  const auto file = sample(&index);
  const auto read = parse_pack(file);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->header.layout, 7u);
  EXPECT_EQ(read->header.content, index.header.content);
  EXPECT_EQ(read->header.unsynced, index.header.unsynced);
  EXPECT_EQ(read->table_offset, index.table_offset);
  EXPECT_EQ(read->windows, index.windows);
  ASSERT_EQ(read->entries.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(read->entries[i].same_matrix(index.entries[i]));
    EXPECT_EQ(read->entries[i].offset, index.entries[i].offset);
  }
  EXPECT_FALSE(read->entries[0].same_matrix(read->entries[1]));
  EXPECT_TRUE(verify_pack(file).has_value());
}

TEST(PackFile, RefusesEveryTruncationOfHeaderAndTable) {
  const auto file = sample();
  for (size_t n = 0; n <= kPackHeaderBytes; ++n) EXPECT_FALSE(parse_pack(std::span(file).first(n)).has_value()) << n;
  for (size_t n = kPackWindow + 4000; n < file.size(); ++n) {
    EXPECT_FALSE(parse_pack(std::span(file).first(n)).has_value()) << n;
  }
  auto longer = file;
  longer.push_back({});
  EXPECT_FALSE(parse_pack(longer).has_value());
}

TEST(PackFile, RefusesEveryFlippedBitOfHeaderAndTable) {
  auto file = sample();
  const auto refused = [&](size_t at) {
    for (int bit = 0; bit < 8; ++bit) {
      file[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(parse_pack(file).has_value()) << at << " bit " << bit;
      file[at] ^= static_cast<std::byte>(1 << bit);
    }
  };
  for (size_t at = 0; at < kPackUnsyncedOffset; ++at) refused(at);
  for (size_t at = kPackWindow + 4096; at < file.size(); ++at) refused(at);
  // The mark is cleared in place, so it has no checksum: whoever reads it compares it.
  std::memset(file.data() + kPackUnsyncedOffset, 0, sizeof(Digest));
  const auto synced = parse_pack(file);
  ASSERT_TRUE(synced.has_value());
  EXPECT_EQ(synced->header.unsynced, Digest{});
}

// With checksums that match: lengths are still held against the file.
TEST(PackFile, RefusesTablesThatLeaveTheFile) {
  const auto sealed = [](auto change) {
    PackIndex index;
    auto file = sample(&index);
    change(index);
    const auto table = pack_table_bytes(index);
    file.resize(kPackWindow + 4096);
    file.insert(file.end(), table.begin(), table.end());
    const auto header = pack_header_bytes(index, table);
    std::copy(header.begin(), header.end(), file.begin());
    return parse_pack(file);
  };
  EXPECT_TRUE(sealed([](PackIndex&) {}).has_value());
  for (const auto& change : std::initializer_list<void (*)(PackIndex&)>{
           [](PackIndex& i) { i.entries[1].bytes += 1; }, [](PackIndex& i) { i.entries[1].bytes = 0; },
           [](PackIndex& i) { i.entries[0].offset = 0; }, [](PackIndex& i) { i.entries[0].offset += 1; },
           [](PackIndex& i) { i.entries[0].offset = UINT64_MAX - 63; },
           [](PackIndex& i) { i.entries[0].bytes = UINT64_MAX; }, [](PackIndex& i) { i.windows.pop_back(); },
           [](PackIndex& i) { i.table_offset += kPackWindow; }, [](PackIndex& i) { i.table_offset = 0; },
           [](PackIndex& i) { i.table_offset = UINT64_MAX; }}) {
    const auto index = sealed(change);
    ASSERT_FALSE(index.has_value());
    EXPECT_EQ(index.error().code, ErrorCode::kCorrupt);
  }
}

TEST(PackFile, VerifyFindsADamagedWeight) {
  auto file = sample();
  for (const size_t at : {kPackHeaderBytes, kPackWindow - 1, kPackWindow, kPackWindow + 4095}) {
    file[at] ^= std::byte{1};
    EXPECT_TRUE(parse_pack(file).has_value());
    const auto wrong = verify_pack(file);
    ASSERT_FALSE(wrong.has_value()) << at;
    EXPECT_THAT(wrong.error().message, HasSubstr("checksum"));
    file[at] ^= std::byte{1};
  }
}

}  // namespace
}  // namespace quern
