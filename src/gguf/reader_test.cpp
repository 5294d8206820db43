#include "gguf/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "base/rng.h"
#include "gguf/describe.h"
#include "gguf/raw_gguf.h"
#include "gguf/writer.h"

namespace quern {
namespace {

using testing::counted;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::le;
using testing::RawGguf;

std::vector<std::byte> random_bytes(SplitMix64& rng, size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes) b = static_cast<std::byte>(rng.next() & 0xff);
  return bytes;
}

// A file with one key of each kind; the data lives as long as this.
struct Sample {
  std::vector<std::vector<std::byte>> data;
  GgufWriter writer;

  explicit Sample(uint32_t alignment = kGgufDefaultAlignment) : writer(alignment) {
    writer.add("general.architecture", "test");
    writer.add("general.name", std::string("A test"));
    writer.add("a.u8", uint8_t{200});
    writer.add("a.i8", int8_t{-3});
    writer.add("a.u16", uint16_t{65535});
    writer.add("a.i16", int16_t{-300});
    writer.add("a.u32", uint32_t{4000000000});
    writer.add("a.i32", int32_t{-70000});
    writer.add("a.u64", std::numeric_limits<uint64_t>::max());
    writer.add("a.i64", std::numeric_limits<int64_t>::min());
    writer.add("a.f32", 0.1f);
    writer.add("a.f64", 1e-6);
    writer.add("a.huge", 1e300);
    writer.add("a.bool", true);
    const std::vector<std::string_view> texts = {"one", "", "drei \xe2\x82\xac"};
    writer.add_strings("a.texts", texts);
    const std::vector<int32_t> numbers = {1, -2, 3};
    writer.add_array<int32_t>("a.numbers", numbers);
    const std::vector<float> floats = {0.5f, -1.25f};
    writer.add_array<float>("a.floats", floats);
    writer.add_array<uint8_t>("a.empty", {});
    SplitMix64 rng(3);
    for (const auto& format : formats()) {
      const uint64_t row = 2 * format.block_elems;
      data.push_back(random_bytes(rng, *row_bytes(format.type, row) * 3));
      writer.add_tensor({std::string("t.") + std::string(format.name), format.type, {row, 3}}, data.back());
    }
  }
};

TEST(GgufReader, RoundTripOfEveryKeyAndFormat) {
  for (const uint32_t alignment : {8u, 32u, 4096u}) {
    Sample sample(alignment);
    const auto bytes = sample.writer.bytes();
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto view = GgufView::parse(*bytes, "x.gguf");
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->version(), 3u);
    EXPECT_EQ(view->alignment(), alignment);
    EXPECT_EQ(view->file_bytes(), bytes->size());
    ASSERT_EQ(view->tensors().size(), formats().size());
    for (size_t i = 0; i < formats().size(); ++i) {
      const auto& tensor = view->tensors()[i];
      EXPECT_EQ(tensor.type, formats()[i].type);
      EXPECT_EQ(tensor.n_dims, 2u);
      EXPECT_THAT(tensor.dims, ElementsAre(2 * formats()[i].block_elems, 3, 1, 1));
      EXPECT_EQ(tensor.n_elements(), 6 * formats()[i].block_elems);
      EXPECT_EQ(tensor.file_offset % alignment, 0u);
      EXPECT_EQ(tensor.data.data(), bytes->data() + tensor.file_offset);
      EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), sample.data[i].begin(), sample.data[i].end()));
      EXPECT_EQ(view->find_tensor(tensor.name), &tensor);
    }
    EXPECT_EQ(view->find_tensor("absent"), nullptr);
  }
}

TEST(GgufReader, Version2IsReadAlike) {
  RawGguf file;
  file.version = 2;
  const auto bytes = file.build();
  const auto view = GgufView::parse(bytes, "v2.gguf");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->version(), 2u);
  EXPECT_EQ(view->get_string("general.architecture").value(), "test");
  EXPECT_THAT(view->get_array<int32_t>("t.numbers").value(), ElementsAre(1, -2, 3));
}

TEST(GgufReader, ReadsEveryVocabularyOfTheSharedData) {
  const std::filesystem::path folder = QUERN_SOURCE_DIR "/../shared/data/tokenizers";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no ../shared/data/tokenizers beside the repository";
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().filename());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto view = GgufView::parse(std::as_bytes(std::span(text)), entry.path().filename());
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_TRUE(view->tensors().empty());
    EXPECT_FALSE(view->get_string("general.architecture").value().empty());
    EXPECT_GT(view->get_strings("tokenizer.ggml.tokens").value().size(), 1000u);
    EXPECT_EQ(view->get_array<int32_t>("tokenizer.ggml.token_type").value().size(),
              view->get_strings("tokenizer.ggml.tokens").value().size());
    ++n;
  }
  EXPECT_GT(n, 0u);
}

TEST(GgufReader, GettersConvertWhatFits) {
  Sample sample;
  const auto bytes = sample.writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  EXPECT_EQ(view.get_u64("a.u8").value(), 200u);
  EXPECT_EQ(view.get_u64("a.u16").value(), 65535u);
  EXPECT_EQ(view.get_u64("a.u32").value(), 4000000000u);
  EXPECT_EQ(view.get_u64("a.u64").value(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(view.get_i64("a.i8").value(), -3);
  EXPECT_EQ(view.get_i64("a.i16").value(), -300);
  EXPECT_EQ(view.get_i64("a.i32").value(), -70000);
  EXPECT_EQ(view.get_i64("a.i64").value(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(view.get_f32("a.f32").value(), 0.1f);
  EXPECT_EQ(view.get_f32("a.f64").value(), 1e-6f);
  EXPECT_EQ(view.get_f32("a.u8").value(), 200.0f);
  EXPECT_TRUE(view.get_bool("a.bool").value());
  EXPECT_EQ(view.get_string("general.name").value(), "A test");
  const auto texts = view.get_strings("a.texts").value();
  EXPECT_EQ(texts.size(), 3u);
  EXPECT_EQ(std::vector<std::string_view>(texts.begin(), texts.end()),
            (std::vector<std::string_view>{"one", "", "drei \xe2\x82\xac"}));
  EXPECT_THAT(view.get_array<int64_t>("a.numbers").value(), ElementsAre(1, -2, 3));
  EXPECT_THAT(view.get_array<float>("a.numbers").value(), ElementsAre(1, -2, 3));
  EXPECT_THAT(view.get_array<float>("a.floats").value(), ElementsAre(0.5f, -1.25f));
  EXPECT_TRUE(view.get_array<uint32_t>("a.empty").value().empty());
}

TEST(GgufReader, GettersRefuseWhatDoesNot) {
  Sample sample;
  const auto bytes = sample.writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  const auto expect = [](const auto& result, ErrorCode code, const char* part) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_THAT(result.error().message, HasSubstr(part));
  };
  expect(view.get_u64("none"), ErrorCode::kNotFound, "x.gguf: key none is missing");
  expect(view.get_strings("none"), ErrorCode::kNotFound, "key none is missing");
  expect(view.get_array<float>("none"), ErrorCode::kNotFound, "key none is missing");
  expect(view.get_u64("a.i32"), ErrorCode::kCorrupt, "key a.i32 is int32 of value -70000, not an unsigned integer");
  expect(view.get_i64("a.u64"), ErrorCode::kCorrupt, "key a.u64 is uint64");
  expect(view.get_u64("a.f32"), ErrorCode::kCorrupt, "key a.f32 is float32");
  expect(view.get_u64("a.bool"), ErrorCode::kCorrupt, "key a.bool is bool");
  expect(view.get_f32("a.i64"), ErrorCode::kCorrupt, "not a number that fits float32");
  expect(view.get_f32("a.huge"), ErrorCode::kCorrupt, "key a.huge is float64");
  expect(view.get_bool("a.u8"), ErrorCode::kCorrupt, "of value 200, not a bool");
  expect(view.get_string("a.texts"), ErrorCode::kCorrupt, "key a.texts is array of string, not a string");
  expect(view.get_strings("general.name"), ErrorCode::kCorrupt, "not an array of strings");
  expect(view.get_strings("a.numbers"), ErrorCode::kCorrupt, "is array of int32");
  expect(view.get_array<uint32_t>("a.numbers"), ErrorCode::kCorrupt, "key a.numbers: element 1 is int32");
  expect(view.get_array<int32_t>("a.floats"), ErrorCode::kCorrupt, "element 0 is float32");
  expect(view.get_array<float>("a.texts"), ErrorCode::kCorrupt, "not an array of numbers");
  expect(view.get_array<float>("a.f32"), ErrorCode::kCorrupt, "not an array of numbers");
  // A default stands for an absent key only.
  EXPECT_EQ(view.get_u64("none", 7).value(), 7u);
  EXPECT_EQ(view.get_i64("none", -7).value(), -7);
  EXPECT_EQ(view.get_f32("none", 0.5f).value(), 0.5f);
  EXPECT_FALSE(view.get_bool("none", false).value());
  EXPECT_EQ(view.get_string("none", "x").value(), "x");
  expect(view.get_u64("a.i32", 7), ErrorCode::kCorrupt, "key a.i32");
  expect(view.get_string("a.u8", "x"), ErrorCode::kCorrupt, "key a.u8");
}

TEST(GgufReader, FindsEachOfManyKeys) {
  GgufWriter writer;
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back("key." + std::to_string(i * 7919 % 3000));
  for (size_t i = 0; i < names.size(); ++i) writer.add(names[i], static_cast<uint32_t>(i));
  const auto bytes = writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  for (size_t i = 0; i < names.size(); ++i) ASSERT_EQ(view.get_u64(names[i]).value(), i);
}

TEST(GgufWriter, KeysCopiedFromAnotherFileAreTheSame) {
  Sample sample;
  const auto bytes = sample.writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  GgufWriter copy;
  for (const auto& [name, value] : view.keys()) copy.add(name, value);
  for (const auto& t : view.tensors())
    copy.add_tensor({std::string(t.name), t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}}, t.data);
  EXPECT_EQ(copy.bytes().value(), bytes);
}

TEST(GgufWriter, RefusesMistakes) {
  const auto expect = [](const GgufWriter& writer, const char* part) {
    const auto bytes = writer.bytes();
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(bytes.error().message, HasSubstr(part));
  };
  const TensorType f32 = find_format(0u)->type;
  const TensorType blocks = find_format(2u)->type;
  const std::vector<std::byte> data(128);
  for (const uint32_t alignment : {0u, 4u, 24u, 1u << 17}) expect(GgufWriter(alignment), "is not a power of two");
  GgufWriter twice;
  twice.add("k", 1);
  twice.add("k", 2);
  expect(twice, "key 'k'");
  GgufWriter unnamed;
  unnamed.add("", 1);
  expect(unnamed, "key ''");
  const auto tensor = [&](GgufTensorSpec spec, std::span<const std::byte> bytes) {
    GgufWriter writer;
    writer.add_tensor(std::move(spec), bytes);
    return writer;
  };
  expect(tensor({"t", f32, {}}, data), "shape");
  expect(tensor({"t", f32, {1, 1, 1, 1, 1}}, data), "shape");
  expect(tensor({"t", f32, {32, 0}}, data), "shape");
  expect(tensor({"t", blocks, {33}}, data), "shape");
  expect(tensor({"t", f32, {uint64_t{1} << 40, uint64_t{1} << 40}}, data), "shape");
  expect(tensor({"t", f32, {31}}, data), "tensor 't' needs 124 bytes, 128 were given");
  expect(tensor({"t", f32, {33}}, data), "tensor 't' needs 132 bytes, 128 were given");
  expect(tensor({std::string(65, 't'), f32, {32}}, data), "too long");
  GgufWriter both = tensor({"t", f32, {32}}, data);
  both.add_tensor({"t", f32, {32}}, data);
  expect(both, "given twice");
}

TEST(GgufWriter, ErrorsOfSinkAndProducerComeBack) {
  const TensorType f32 = find_format(0u)->type;
  GgufWriter writer;
  writer.add_tensor({"t", f32, {2}}, [](const ByteSink& sink) -> Status {
    const std::array<std::byte, 4> half{};
    QUERN_CHECK_OK(sink(half));
    return fail(ErrorCode::kIo, "the source broke");
  });
  EXPECT_EQ(writer.bytes().error().message, "the source broke");
  const auto full = writer.write([](auto) -> Status { return fail(ErrorCode::kIo, "disk full"); });
  EXPECT_EQ(full.error().message, "disk full");
}

TEST(GgufDescribe, CountsAndRendersEverything) {
  Sample sample;
  const auto bytes = sample.writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  const GgufSummary summary = describe(view);
  EXPECT_EQ(summary.architecture, "test");
  EXPECT_EQ(summary.name, "A test");
  EXPECT_EQ(summary.tensors, formats().size());
  EXPECT_EQ(summary.file_bytes, bytes.size());
  uint64_t parameters = 0, tensor_bytes = 0;
  ASSERT_EQ(summary.types.size(), formats().size());
  for (size_t i = 0; i < summary.types.size(); ++i) {
    const auto& row = summary.types[i];
    EXPECT_EQ(row.tensors, 1u);
    EXPECT_EQ(row.bytes, row.parameters / format_info(row.type).block_elems * format_info(row.type).block_bytes);
    if (i > 0) {
      EXPECT_LE(row.bytes, summary.types[i - 1].bytes);
    }
    parameters += row.parameters;
    tensor_bytes += row.bytes;
  }
  EXPECT_EQ(summary.parameters, parameters);
  EXPECT_EQ(summary.tensor_bytes, tensor_bytes);
  EXPECT_DOUBLE_EQ(summary.bits_per_weight, 8.0 * double(tensor_bytes) / double(parameters));
  std::map<std::string, std::pair<std::string, std::string>> keys;
  for (const auto& key : summary.keys) keys[key.name] = {key.type, key.value};
  using Text = std::pair<std::string, std::string>;
  EXPECT_EQ(keys["general.architecture"], Text("string", "\"test\""));
  EXPECT_EQ(keys["a.i8"], Text("int8", "-3"));
  EXPECT_EQ(keys["a.u64"], Text("uint64", "18446744073709551615"));
  EXPECT_EQ(keys["a.f32"], Text("float32", "0.1"));
  EXPECT_EQ(keys["a.f64"], Text("float64", "1e-06"));
  EXPECT_EQ(keys["a.bool"], Text("bool", "true"));
  EXPECT_EQ(keys["a.texts"], Text("array of string[3]", "[\"one\", \"\", \"drei \xe2\x82\xac\"]"));
  EXPECT_EQ(keys["a.numbers"], Text("array of int32[3]", "[1, -2, 3]"));
  EXPECT_EQ(keys["a.empty"], Text("array of uint8[0]", "[]"));
}

TEST(GgufDescribe, CutsAndEscapes) {
  GgufWriter writer;
  const std::vector<uint16_t> numbers = {1, 2, 3, 4};
  writer.add_array<uint16_t>("numbers", numbers);
  writer.add("text", std::string("a\"b\\c\n\x1b\xff\xe2\x82"));
  writer.add("euro", "\xe2\x82\xac\xe2\x82\xac");
  const auto bytes = writer.bytes().value();
  const auto view = GgufView::parse(bytes, "x.gguf").value();
  EXPECT_EQ(render_value(*view.find("numbers"), 2), "[1, 2, ...]");
  EXPECT_EQ(render_value(*view.find("numbers"), 0), "[...]");
  EXPECT_EQ(render_value(*view.find("text")), R"("a\"b\\c\n\x1b\xff\xe2\x82")");
  EXPECT_EQ(render_value(*view.find("euro"), 8, 2), "\"\xe2\x82\xac\"...");
  EXPECT_EQ(describe(view).bits_per_weight, 0.0);
}

}  // namespace
}  // namespace quern
