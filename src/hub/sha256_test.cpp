#include "hub/sha256.h"

#include <gtest/gtest.h>

namespace quern::hub {
namespace {

TEST(Sha256, EqualsThePublishedExamples) {
  // FIPS 180-4's example texts, NIST's published digests.
  EXPECT_EQ(Sha256().finish(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string_view text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (const size_t piece : {size_t{1}, size_t{7}, text.size()}) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += piece) hash.update(std::as_bytes(std::span(text.substr(at, piece))));
    EXPECT_EQ(hash.finish(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  }
}

TEST(IsSha256, WantsSixtyFourDigits) {
  EXPECT_TRUE(is_sha256(std::string(32, 'a') + std::string(32, 'F')));
  EXPECT_FALSE(is_sha256(std::string(63, 'a')));
  EXPECT_FALSE(is_sha256(std::string(63, 'a') + "g"));
}

}  // namespace
}  // namespace quern::hub
