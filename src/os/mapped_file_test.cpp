#include "os/mapped_file.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace quern {
namespace {

TEST(MappedFile, MapsAndReadsTheSameBytes) {
  const std::string path = testing::TempDir() + "quern_mapped_file";
  std::FILE* f = std::fopen(path.c_str(), "wb");
  ASSERT_NE(f, nullptr);
  std::fputs("twelve bytes", f);
  std::fclose(f);
  for (bool use_mmap : {true, false}) {
    auto file = MappedFile::open(path, use_mmap);
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "twelve bytes");
    EXPECT_EQ(file->is_mapped(), use_mmap);
    MappedFile moved = std::move(*file);
    EXPECT_EQ(moved.bytes().size(), 12u);
  }
  std::remove(path.c_str());
}

TEST(MappedFile, SaysWhatIsWrong) {
  auto missing = MappedFile::open("/nonexistent/model.gguf");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("/nonexistent/model.gguf"), std::string::npos);
  auto folder = MappedFile::open("/");
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace quern
