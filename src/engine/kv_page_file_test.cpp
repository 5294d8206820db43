#include "engine/kv_page_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

namespace quern {
namespace {

constexpr KvShape kShape{.n_layers = 2, .n_kv_heads = 1, .head_dim = 8};

std::vector<std::byte> file_of(const KvPageFile& page) {
  const auto header = kv_page_header(page);
  std::vector<std::byte> file(header.size() + page.payload.size());
  std::memcpy(file.data(), header.data(), header.size());
  if (!page.payload.empty()) std::memcpy(file.data() + header.size(), page.payload.data(), page.payload.size());
  return file;
}

class KvPageFileTest : public testing::Test {
 protected:
  KvPageFileTest() : payload_(kShape.page_bytes()) {
    for (size_t i = 0; i < payload_.size(); ++i) payload_[i] = static_cast<std::byte>(i * 7);
    page_.previous = kv_root_key("model", kShape, "tenant");
    std::iota(page_.ids.begin(), page_.ids.end(), 100);
    page_.key = kv_page_key(page_.previous, page_.ids);
    page_.shape = kShape;
    page_.payload = payload_;
    file_ = file_of(page_);
  }
  // What a writer with other ideas would make: everything is consistent but the field.
  template <class T>
  [[nodiscard]] std::vector<std::byte> with(size_t at, T value) const {
    auto file = file_;
    std::memcpy(file.data() + at, &value, sizeof value);
    const Digest seal = digest(std::span(file).first(kKvPageHeaderBytes - sizeof(Digest)));
    std::memcpy(file.data() + kKvPageHeaderBytes - sizeof seal, seal.data(), sizeof seal);
    return file;
  }

  std::vector<std::byte> payload_, file_;
  KvPageFile page_;
};

void expect_refused(std::span<const std::byte> file, const std::string& reason) {
  const auto page = parse_kv_page(file);
  ASSERT_FALSE(page.has_value()) << reason;
  EXPECT_EQ(page.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(page.error().message.find(reason), std::string::npos) << page.error().message;
}

TEST_F(KvPageFileTest, ReadsWhatWasWritten) {
  const auto page = parse_kv_page(file_);
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_EQ(page->key, page_.key);
  EXPECT_EQ(page->previous, page_.previous);
  EXPECT_EQ(page->shape, kShape);
  EXPECT_EQ(page->ids, page_.ids);
  ASSERT_EQ(page->payload.size(), payload_.size());
  EXPECT_EQ(std::memcmp(page->payload.data(), payload_.data(), payload_.size()), 0);
}

// Computed from docs/formats.md by other means (libxxhash from Python); a change of these bytes is a new version.
TEST_F(KvPageFileTest, BytesAreThoseOfTheDocument) {
  EXPECT_EQ(to_hex(page_.previous), "5318a20de00a5b8fb0159cd90c3cba73");
  EXPECT_EQ(to_hex(page_.key), "01191cc602d9c65bf3517354b65b59a6");
  EXPECT_EQ(to_hex(digest(file_)), "9d2437d2744db65ce3b213f1b26137d9");
}

TEST_F(KvPageFileTest, AnyFlippedBitIsFound) {
  for (size_t i = 0; i < file_.size(); ++i) {
    auto file = file_;
    file[i] ^= static_cast<std::byte>(1u << (i % 8));
    ASSERT_FALSE(parse_kv_page(file).has_value()) << "byte " << i;
  }
}

TEST_F(KvPageFileTest, AnyOtherLengthIsFound) {
  for (size_t n = 0; n < file_.size(); n += n < 400 ? 1 : 97) {
    ASSERT_FALSE(parse_kv_page(std::span(file_).first(n)).has_value()) << n << " bytes";
  }
  file_.push_back(std::byte{0});
  expect_refused(file_, "do not fill a page");
}

TEST_F(KvPageFileTest, EachFieldIsCheckedBehindTheChecksum) {
  expect_refused(with<char>(0, 'q'), "of this version");
  expect_refused(with<uint32_t>(8, kKvPageFileVersion + 1), "of this version");
  expect_refused(with<uint32_t>(12, 32), "of this version");
  expect_refused(with<uint8_t>(16, static_cast<uint8_t>(page_.key[0] ^ 1)), "the key is not that of its tokens");
  expect_refused(with<uint8_t>(32, static_cast<uint8_t>(page_.previous[0] ^ 1)), "the key is not that of its tokens");
  for (const size_t at : {48, 52, 56}) {
    expect_refused(with<uint32_t>(at, 9), "do not fill a page");
    expect_refused(with<uint32_t>(at, 0), "do not fill a page");
    expect_refused(with<uint32_t>(at, UINT32_MAX), "do not fill a page");
  }
  expect_refused(with<uint32_t>(60, 1), "reserved");
  expect_refused(with<uint64_t>(64, payload_.size() + 1), "do not fill a page");
  expect_refused(with<uint64_t>(72, 1), "the header does not match");
  expect_refused(with<int32_t>(80 + 4 * 63, 0), "the key is not that of its tokens");
  expect_refused(with<uint8_t>(336, static_cast<uint8_t>(file_[336]) ^ 1), "do not match their checksum");
  expect_refused(with<uint8_t>(352, 1), "the header does not match");
}

TEST_F(KvPageFileTest, AShapeThatOverflowsIsRefused) {
  page_.shape = {.n_layers = UINT32_MAX, .n_kv_heads = UINT32_MAX, .head_dim = UINT32_MAX};
  expect_refused(file_of(page_), "do not fill a page");
}

TEST(KvPageKey, DependsOnEverything) {
  const Digest root = kv_root_key("model", kShape, "tenant");
  EXPECT_NE(root, kv_root_key("model2", kShape, "tenant"));
  EXPECT_NE(root, kv_root_key("model", kShape, "tenant2"));
  EXPECT_NE(root, kv_root_key("modelt", kShape, "enant"));
  EXPECT_NE(root, kv_root_key("model", {.n_layers = 1, .n_kv_heads = 2, .head_dim = 8}, "tenant"));
  std::array<int32_t, kKvPageTokens> ids{};
  const Digest key = kv_page_key(root, ids);
  EXPECT_NE(kv_page_key(key, ids), key);
  ids[63] = 1;
  EXPECT_NE(kv_page_key(root, ids), key);
}

}  // namespace
}  // namespace quern
