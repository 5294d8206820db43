#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "gguf/raw_gguf.h"
#include "gguf/reader.h"
#include "gguf/writer.h"

namespace quern {
namespace {

using testing::counted;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::le;
using testing::RawGguf;

TEST(SplitPaths, FromNames) {
  EXPECT_THAT(split_paths("m.gguf").value(), ElementsAre("m.gguf"));
  EXPECT_THAT(split_paths("a/m-00001-of-00003.gguf").value(),
              ElementsAre("a/m-00001-of-00003.gguf", "a/m-00002-of-00003.gguf", "a/m-00003-of-00003.gguf"));
  // Any part leads to all of them.
  EXPECT_EQ(split_paths("m-00003-of-00003.gguf").value().size(), 3u);
  EXPECT_THAT(split_paths("m-00001-of-00001.gguf").value(), ElementsAre("m-00001-of-00001.gguf"));
}

TEST(SplitPaths, NamesThatOnlyResembleAreOrdinary) {
  for (const std::string name :
       {"m-0001-of-0003.gguf", "m-00001-of-00003.bin", "m-00001of-00003.gguf", "-00001-of-00003.gguf",
        "m-0000a-of-00003.gguf", "m-00001-of-+0003.gguf", "m 00001-of-00003.gguf", ".gguf", ""})
    EXPECT_THAT(split_paths(name).value(), ElementsAre(name));
}

TEST(SplitPaths, RefusesNumbersThatMakeNoSense) {
  for (const std::string name :
       {"m-00000-of-00003.gguf", "m-00004-of-00003.gguf", "m-00001-of-00000.gguf", "m-00001-of-99999.gguf"}) {
    const auto paths = split_paths(name);
    ASSERT_FALSE(paths) << name;
    EXPECT_EQ(paths.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(paths.error().message, HasSubstr("makes no sense"));
  }
}

// A model of six tensors of 64 bytes, in parts of two.
class Join : public ::testing::Test {
 protected:
  Join() {
    GgufWriter writer;
    writer.add("general.architecture", "test");
    writer.add("x.number", 42);
    const TensorType f32 = find_format(0u)->type;
    for (int i = 0; i < 6; ++i) {
      data_.push_back(std::vector<std::byte>(64, static_cast<std::byte>(i)));
      writer.add_tensor({"t" + std::to_string(i), f32, {16}}, data_.back());
    }
    whole_ = writer.bytes().value();
    for (const auto& part : writer.split(128)) parts_.push_back(part.bytes().value());
  }

  Result<GgufView> join(std::initializer_list<size_t> indices) {
    std::vector<GgufView> views;
    for (const size_t i : indices)
      views.push_back(GgufView::parse(parts_[i], "m" + std::to_string(i) + ".gguf").value());
    return GgufView::join(std::move(views));
  }

  void expect(const Result<GgufView>& joined, ErrorCode code, const char* part) {
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().code, code) << joined.error().message;
    EXPECT_THAT(joined.error().message, HasSubstr(part));
  }

  std::vector<std::vector<std::byte>> data_;
  std::vector<std::byte> whole_;
  std::vector<std::vector<std::byte>> parts_;
};

TEST_F(Join, GivesOneModel) {
  ASSERT_EQ(parts_.size(), 3u);
  const auto joined = join({0, 1, 2});
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->n_parts(), 3u);
  EXPECT_EQ(joined->file_bytes(), parts_[0].size() + parts_[1].size() + parts_[2].size());
  EXPECT_EQ(joined->get_u64("x.number").value(), 42u);
  ASSERT_EQ(joined->tensors().size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    const auto* tensor = joined->find_tensor("t" + std::to_string(i));
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->part, i / 2);
    EXPECT_EQ(tensor->data[0], static_cast<std::byte>(i));
    EXPECT_EQ(tensor->data.data(), parts_[i / 2].data() + tensor->file_offset);
  }
}

TEST_F(Join, AFileThatIsNotSplitPassesThrough) {
  std::vector<GgufView> one;
  one.push_back(GgufView::parse(whole_, "whole.gguf").value());
  const auto joined = GgufView::join(std::move(one));
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->tensors().size(), 6u);
  EXPECT_EQ(joined->n_parts(), 1u);
}

TEST_F(Join, RefusesSetsThatAreNotWhole) {
  expect(GgufView::join({}), ErrorCode::kInvalidArgument, "no GGUF file");
  expect(join({0}), ErrorCode::kNotFound, "m0.gguf: split.count is 3, but 1 file is given");
  expect(join({1}), ErrorCode::kNotFound, "split.count is 3");
  expect(join({0, 1}), ErrorCode::kNotFound, "but 2 files are given");
  expect(join({0, 1, 2, 2}), ErrorCode::kCorrupt, "split.count is 3, but 4 files");
}

TEST_F(Join, RefusesDuplicatesCyclesAndDisorder) {
  expect(join({0, 1, 1}), ErrorCode::kCorrupt, "m1.gguf: split.no is 1 where 2 is expected");
  expect(join({0, 0, 0}), ErrorCode::kCorrupt, "m0.gguf: split.no is 0 where 1 is expected");
  expect(join({1, 2, 0}), ErrorCode::kCorrupt, "split.no is 1 where 0 is expected");
  expect(join({0, 2, 1}), ErrorCode::kCorrupt, "out of order");
}

// Two hand-made parts, of which one is changed.
struct PartDamage {
  const char* name;
  std::function<void(RawGguf& first, RawGguf& second)> apply;
  ErrorCode code;
  const char* message;
};

RawGguf raw_part(uint16_t no) {
  RawGguf file;
  file.keys.push_back({"split.no", GgufType::kUint16, le(no), {}});
  file.keys.push_back({"split.count", GgufType::kUint16, le<uint16_t>(2), {}});
  file.keys.push_back({"split.tensors.count", GgufType::kInt32, le<int32_t>(4), {}});
  for (auto& tensor : file.tensors) tensor.name += std::to_string(no);
  return file;
}

constexpr size_t kNo = 5, kCount = 6, kTensors = 7;

const PartDamage kPartDamages[] = {
    {"second not split", [](auto&, auto& b) { b.keys.resize(kNo); }, ErrorCode::kCorrupt, "b.gguf: split.count is 1"},
    {"count differs", [](auto&, auto& b) { b.keys[kCount].payload = le<uint16_t>(3); }, ErrorCode::kNotFound,
     "b.gguf: split.count is 3"},
    {"count 0", [](auto& a, auto&) { a.keys[kCount].payload = le<uint16_t>(0); }, ErrorCode::kCorrupt,
     "a.gguf: split.count is 1"},
    {"count 65535", [](auto& a, auto&) { a.keys[kCount].payload = le<uint16_t>(65535); }, ErrorCode::kNotFound,
     "split.count is 65535"},
    {"count as text", [](auto& a, auto&) { a.keys[kCount] = {"split.count", GgufType::kString, counted("2"), {}}; },
     ErrorCode::kCorrupt, "key split.count is string"},
    {"no number", [](auto&, auto& b) { b.keys.erase(b.keys.begin() + kNo); }, ErrorCode::kNotFound,
     "b.gguf: key split.no is missing"},
    {"number beyond count", [](auto&, auto& b) { b.keys[kNo].payload = le<uint16_t>(7); }, ErrorCode::kCorrupt,
     "split.no is 7 where 1"},
    {"both are the first", [](auto&, auto& b) { b.keys[kNo].payload = le<uint16_t>(0); }, ErrorCode::kCorrupt,
     "split.no is 0 where 1"},
    {"too few tensors", [](auto& a, auto&) { a.keys[kTensors].payload = le<int32_t>(5); }, ErrorCode::kCorrupt,
     "split.tensors.count is 5, the 2 files hold 4"},
    {"negative tensors", [](auto& a, auto&) { a.keys[kTensors].payload = le<int32_t>(-1); }, ErrorCode::kCorrupt,
     "split.tensors.count is int32 of value -1"},
    {"tensor in both", [](auto&, auto& b) { b.tensors[0].name = "first0"; }, ErrorCode::kCorrupt,
     "tensor first0 occurs twice"},
    {"another model", [](auto&, auto& b) { b.keys[0].payload = counted("other"); }, ErrorCode::kCorrupt,
     "b.gguf: general.architecture differs"},
};

TEST(JoinDamage, EachGivesItsMessage) {
  const PartDamage none{"none", [](auto&, auto&) {}, ErrorCode::kIo, ""};
  const auto run = [](const PartDamage& damage) {
    RawGguf first = raw_part(0), second = raw_part(1);
    damage.apply(first, second);
    const auto a = first.build(), b = second.build();
    std::vector<GgufView> views;
    views.push_back(GgufView::parse(a, "a.gguf").value());
    views.push_back(GgufView::parse(b, "b.gguf").value());
    const auto joined = GgufView::join(std::move(views));
    return joined ? std::optional<Error>() : std::optional<Error>(joined.error());
  };
  EXPECT_FALSE(run(none));
  for (const auto& damage : kPartDamages) {
    SCOPED_TRACE(damage.name);
    const auto error = run(damage);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, damage.code) << error->message;
    EXPECT_THAT(error->message, HasSubstr(damage.message));
  }
}

}  // namespace
}  // namespace quern
