#include "os/atomic_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace quern {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string contents(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("quern_atomic_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] size_t n_files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, AppearsWholeAtCommit) {
  const fs::path path = folder_ / "f";
  auto file = AtomicFile::create(path.string());
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(file->write(bytes("new ")).has_value());
  EXPECT_FALSE(fs::exists(path));
  ASSERT_TRUE(file->write(bytes("contents")).has_value());
  ASSERT_TRUE(file->commit().has_value());
  EXPECT_EQ(contents(path), "new contents");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(AtomicFileTest, LeavesTheOldFileWithoutCommit) {
  const fs::path path = folder_ / "f";
  ASSERT_TRUE(write_file_atomically(path.string(), "old").has_value());
  {
    auto file = AtomicFile::create(path.string());
    ASSERT_TRUE(file.has_value());
    AtomicFile moved = std::move(*file);
    ASSERT_TRUE(moved.write(bytes("new")).has_value());
    EXPECT_EQ(n_files(), 2u);
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(n_files(), 1u);
  ASSERT_TRUE(write_file_atomically(path.string(), "replaced").has_value());
  EXPECT_EQ(contents(path), "replaced");
}

TEST_F(AtomicFileTest, SaysWhichFolderIsMissing) {
  const auto file = AtomicFile::create((folder_ / "none" / "f").string());
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find("none/f"), std::string::npos);
}

TEST_F(AtomicFileTest, PrivateFilesAndFoldersAreTheUsersAlone) {
  const fs::path inner = folder_ / "a" / "b";
  ASSERT_TRUE(make_private_folder(inner.string() + "/").has_value());
  ASSERT_TRUE(make_private_folder(inner.string()).has_value());
  EXPECT_EQ(fs::status(inner).permissions(), fs::perms::owner_all);
  EXPECT_NE(fs::status(inner.parent_path()).permissions(), fs::perms::owner_all);
  auto file = AtomicFile::create((inner / "f").string(), File::Mode::kCreatePrivate);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(fs::status(file->file().path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_TRUE(file->commit().has_value());
  EXPECT_EQ(fs::status(inner / "f").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(make_private_folder((inner / "f").string()).has_value());
}

TEST_F(AtomicFileTest, LockIsSeenByAnotherOpenFile) {
  const std::string path = (folder_ / "f").string();
  auto first = File::open(path, File::Mode::kOpenOrNew);
  auto second = File::open(path, File::Mode::kOpenOrNew);
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->try_lock().value_or(false), true);
  EXPECT_EQ(second->try_lock().value_or(true), false);
}

}  // namespace
}  // namespace quern
