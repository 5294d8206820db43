#include "hub/cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hub/catalogue.h"

namespace quern::hub {
namespace {

namespace fs = std::filesystem;

class CacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("quern_cache_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    options_.cache_dir = (folder_ / "cache").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& relative, const std::string& contents) {
    const fs::path path = fs::path(options_.models_dir()) / relative;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << contents;
  }
  CachedModel find(std::string_view name) {
    auto found = find_cached(name, options_);
    EXPECT_TRUE(found.has_value()) << name << ": " << (found ? "" : found.error().message);
    return found ? *found : CachedModel{};
  }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    const auto models = cached_models(options_);
    for (const CachedModel& m : models.value()) all.push_back(m.name);
    return all;
  }

  fs::path folder_;
  HubOptions options_;
};

TEST_F(CacheTest, CopyIsAFurtherNameForTheSameBytes) {
  write("hf/o/r/m.gguf", "weights");
  write("hf/o/r/m.gguf.sha256", std::string(64, 'a'));
  const auto copy = copy_cached(find("hf:o/r"), "team/mine:v1", options_);
  ASSERT_TRUE(copy.has_value()) << copy.error().message;
  EXPECT_EQ(find("team/mine:v1").path, copy->path);
  EXPECT_EQ(copy->bytes, 7u);
  EXPECT_EQ(known_sha256(copy->path, options_), std::string(64, 'a'));
  EXPECT_TRUE(fs::equivalent(copy->path, find("hf:o/r").path));
  // A second time, and over another model's copy.
  ASSERT_TRUE(copy_cached(find("hf:o/r"), "team/mine:v1", options_).has_value());
  write("other.gguf", "else");
  ASSERT_TRUE(copy_cached(find("other"), "team/mine:v1", options_).has_value());
  EXPECT_EQ(find("team/mine:v1").bytes, 4u);
  EXPECT_EQ(known_sha256(find("team/mine:v1").path, options_), "");
  // Neither goes with the other.
  ASSERT_TRUE(remove_cached(find("other.gguf"), options_).has_value());
  EXPECT_EQ(find("team/mine:v1").bytes, 4u);
  ASSERT_TRUE(remove_cached(find("team/mine:v1"), options_).has_value());
  EXPECT_EQ(names(), std::vector<std::string>{"hf:o/r:m.gguf"});
  EXPECT_FALSE(fs::exists(options_.models_dir() + "/copies"));
}

TEST_F(CacheTest, CopyOfASplitModelHasAllItsParts) {
  write("m-00001-of-00002.gguf", "one");
  write("m-00002-of-00002.gguf", "three");
  ASSERT_TRUE(copy_cached(find("m-00001-of-00002.gguf"), "both", options_).has_value());
  const CachedModel copy = find("both");
  EXPECT_EQ(copy.parts.size(), 2u);
  EXPECT_EQ(copy.bytes, 8u);
  EXPECT_TRUE(copy.path.ends_with("both-00001-of-00002.gguf"));
}

TEST_F(CacheTest, CopyRefusesNamesThatMeanSomethingElse) {
  write("m.gguf", "weights");
  for (const char* name : {"", "../out", "/tmp/out", "a/../../out", "a//b", "hf:o/r", "https://host/m.gguf", "m",
                           "m.gguf", "a\nb", "x-00001-of-00002"}) {
    EXPECT_FALSE(copy_cached(find("m.gguf"), name, options_).has_value()) << name;
  }
  EXPECT_FALSE(copy_cached(find("m.gguf"), catalogue().front().name, options_).has_value());
  EXPECT_FALSE(copy_cached(find("m.gguf"), aliases().front().name, options_).has_value());
  EXPECT_EQ(names(), std::vector<std::string>{"m.gguf"});
}

TEST_F(CacheTest, CopyRefusesFilesOutsideTheCacheFolder) {
  write("m.gguf", "weights");
  const std::string secret = (folder_ / "secret.gguf").string();
  std::ofstream(secret) << "secret";
  const CachedModel outside{.name = "m.gguf", .path = secret, .parts = {secret}, .bytes = 6};
  EXPECT_FALSE(copy_cached(outside, "mine", options_).has_value());
  EXPECT_FALSE(remove_cached(outside, options_).has_value());
  EXPECT_TRUE(fs::exists(secret));
  EXPECT_EQ(names(), std::vector<std::string>{"m.gguf"});
}

TEST_F(CacheTest, APartOfAFileNameChoosesInARepository) {
  write("hf/o/r/m-q8.gguf", "eight");
  write("hf/o/r/m-q4.gguf", "four");
  EXPECT_EQ(find("hf:o/r:q4").bytes, 4u);
  EXPECT_EQ(find("hf:o/r:Q8").bytes, 5u);
  EXPECT_FALSE(find_cached("hf:o/r:q5", options_).has_value());
  EXPECT_EQ(find_cached("hf:o/r", options_).error().code, ErrorCode::kInvalidArgument);  // two of them
}

TEST_F(CacheTest, AHashThatIsNoneIsNotKnown) {
  write("m.gguf", "weights");
  EXPECT_EQ(known_sha256(find("m").path, options_), "");
  write("m.gguf.sha256", std::string(64, 'g'));
  EXPECT_EQ(known_sha256(find("m").path, options_), "");
  write("m.gguf.sha256", std::string(63, 'a'));
  EXPECT_EQ(known_sha256(find("m").path, options_), "");
}

}  // namespace
}  // namespace quern::hub
