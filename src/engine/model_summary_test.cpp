#include "engine/model_summary.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "gguf/raw_gguf.h"

namespace quern {
namespace {

using testing::RawGguf;

std::string written(RawGguf file, const std::string& name) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / name).string();
  const auto bytes = file.build();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  return path;
}

const MetadataKey* find(const ModelSummary& summary, std::string_view name) {
  for (const MetadataKey& key : summary.keys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

TEST(ModelSummary, TellsKeysAndTensors) {
  RawGguf file;
  file.keys.push_back({"general.license", GgufType::kString, testing::counted("mit"), {}});
  file.keys.push_back({"test.pooling_type", GgufType::kUint32, testing::le<uint32_t>(1), {}});
  file.keys.push_back({"t.low", GgufType::kInt32, testing::le<int32_t>(-3), {}});
  file.keys.push_back({"t.part", GgufType::kFloat32, testing::le(0.5f), {}});
  const std::string path = written(file, "summary.gguf");
  const auto summary = summarize_model(path);
  ASSERT_TRUE(summary.has_value()) << summary.error().message;
  EXPECT_EQ(summary->architecture, "test");
  EXPECT_EQ(summary->licence, "mit");
  EXPECT_EQ(summary->parameters, 16u + 32u);
  EXPECT_EQ(summary->weight_type, "f32");  // 64 bytes against 18
  EXPECT_EQ(summary->file_bytes, std::filesystem::file_size(path));
  EXPECT_TRUE(summary->pools);
  EXPECT_EQ(find(*summary, "t.flag")->values, std::vector<MetadataScalar>{true});
  EXPECT_EQ(find(*summary, "t.low")->values, std::vector<MetadataScalar>{int64_t{-3}});
  EXPECT_EQ(find(*summary, "t.part")->values, std::vector<MetadataScalar>{0.5});
  EXPECT_EQ(find(*summary, "general.alignment")->values, std::vector<MetadataScalar>{uint64_t{32}});
}

TEST(ModelSummary, ArraysOnRequest) {
  const std::string path = written({}, "arrays.gguf");
  const auto without = summarize_model(path);
  const auto with = summarize_model(path, /*arrays=*/true);
  ASSERT_TRUE(without.has_value() && with.has_value());
  EXPECT_FALSE(without->pools);
  EXPECT_TRUE(find(*without, "t.texts")->is_array);
  EXPECT_EQ(find(*without, "t.texts")->count, 2u);
  EXPECT_TRUE(find(*without, "t.texts")->values.empty());
  EXPECT_EQ(find(*with, "t.texts")->values, (std::vector<MetadataScalar>{std::string("one"), std::string()}));
  EXPECT_EQ(find(*with, "t.numbers")->values, (std::vector<MetadataScalar>{uint64_t{1}, int64_t{-2}, uint64_t{3}}));
}

TEST(ModelSummary, SaysWhatIsWrongWithAFile) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / "no.gguf").string();
  std::ofstream(path) << "no model";
  const auto summary = summarize_model(path);
  ASSERT_FALSE(summary.has_value());
  EXPECT_NE(summary.error().message.find("no.gguf"), std::string::npos);
  EXPECT_EQ(summarize_model(path + ".absent").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace quern
