#include "engine/kv_model_key.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "gguf/writer.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

class KvModelKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / "quern-key-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/model.gguf";
    GgufWriter writer;
    writer.add("general.name", "a model");
    const std::vector<float> small(64, 1.0f), large(1 << 19, 2.0f);
    writer.add_tensor({"small", TensorType::kF32, {64}}, std::as_bytes(std::span(small)));
    writer.add_tensor({"large", TensorType::kF32, {1024, 512}}, std::as_bytes(std::span(large)));
    const auto bytes = writer.bytes().value();
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    time_ = fs::last_write_time(path_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string key() const { return kv_model_key(*ModelFile::open(path_).value()); }
  // Changes a byte and leaves no other trace.
  void patch(uint64_t at, char value) const {
    {
      std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(value);
    }
    fs::last_write_time(path_, time_);
  }

  std::string folder_, path_;
  fs::file_time_type time_;
};

TEST_F(KvModelKeyTest, IsThatOfTheContents) {
  const std::string before = key();
  EXPECT_EQ(before.size(), 32u);
  EXPECT_EQ(key(), before);
  fs::rename(path_, folder_ + "/other.gguf");
  path_ = folder_ + "/other.gguf";
  EXPECT_EQ(key(), before);
}

TEST_F(KvModelKeyTest, SeesMetadataTensorsAndTime) {
  const std::string before = key();
  const auto model = ModelFile::open(path_).value();
  const uint64_t small = model->view().find_tensor("small")->file_offset;
  const uint64_t large = model->view().find_tensor("large")->file_offset;
  const uint64_t bytes = fs::file_size(path_);
  // The last letter of the name; each tensor's ends and middle; a place of the file that is sampled as a whole.
  const std::string_view header(reinterpret_cast<const char*>(model->files()[0]->bytes().data()), small);
  const uint64_t name = header.find("a model") + 6;
  for (const uint64_t at : {name, small, small + 255, large, large + (1u << 20), bytes - 1, bytes / 15 * 7}) {
    const char old = static_cast<char>(model->files()[0]->bytes()[at]);
    patch(at, static_cast<char>(old ^ 1));
    EXPECT_NE(key(), before) << at;
    patch(at, old);
    EXPECT_EQ(key(), before) << at;
  }
  fs::last_write_time(path_, time_ + std::chrono::seconds(1));
  EXPECT_NE(key(), before);
}

}  // namespace
}  // namespace quern
