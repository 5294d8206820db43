// The helpers themselves: what they write is what readers and the oracle take it for.
#include "tests/support/tiny_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "gguf/reader.h"
#include "tests/support/synthetic_model.h"

namespace quern {
namespace {

std::vector<float> decode(const GgufTensor& tensor) {
  std::vector<float> values(tensor.n_elements());
  format_info(tensor.type).decode(tensor.data.data(), values.data(), values.size());
  return values;
}

TEST(TinyModel, EveryModelReadsBackAndHasAGolden) {
  const auto names = tiny_model_names();
  ASSERT_TRUE(names.has_value()) << names.error().message;
  ASSERT_GE(names->size(), 13u);
  std::set<std::string> architectures;
  for (const std::string& name : *names) {
    const auto bytes = tiny_model(name);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    const auto view = GgufView::parse(*bytes, name);
    ASSERT_TRUE(view.has_value()) << view.error().message;
    architectures.emplace(view->get_string("general.architecture").value());
    const size_t n_vocab = view->get_strings("tokenizer.ggml.tokens")->size();
    EXPECT_EQ(view->find_tensor("token_embd.weight")->dims[1], n_vocab) << name;
    EXPECT_EQ(view->get_array<int32_t>("tokenizer.ggml.token_type")->size(), n_vocab) << name;

    const auto golden = tiny_golden(name);
    ASSERT_TRUE(golden.has_value()) << golden.error().message;
    EXPECT_EQ(golden->ids.size(), 40u);
    EXPECT_EQ(golden->greedy.size(), 12u);
    EXPECT_EQ(golden->margins.size(), 12u);
    ASSERT_TRUE(golden->logits.contains(39));
    for (const auto& [position, logits] : golden->logits) EXPECT_EQ(logits.size(), n_vocab) << name << " " << position;
    const auto& last = golden->logits.at(39);
    EXPECT_EQ(std::max_element(last.begin(), last.end()) - last.begin(), golden->greedy[0]) << name;
  }
  EXPECT_THAT(architectures, testing::ElementsAre("gemma3", "llama", "phi3", "qwen2", "qwen3"));
}

TEST(TinyModel, WeightsAreTheOraclesBitForBit) {
  // First and last element as tools/oracle/tiny_weights.py gives them.
  struct Pin {
    const char* model;
    const char* tensor;
    float first;
    float last;
  };
  const Pin pins[] = {
      {"llama-wide", "token_embd.weight", -0x1.6afcep-2f, 0x1.a0c54cp-1f},
      {"llama-wide", "blk.1.ffn_down.weight", 0x1.268928p-4f, 0x1.9b9db2p-3f},
      {"gemma3", "token_embd.weight", 0x1.01f2d4p-5f, 0x1.46a5p-4f},
      {"gemma3", "blk.1.attn_norm.weight", 0x1.e828bp-1f, 0x1.d47294p-1f},
  };
  for (const Pin& pin : pins) {
    const auto bytes = tiny_model(pin.model);
    ASSERT_TRUE(bytes.has_value());
    const auto view = GgufView::parse(*bytes, pin.model);
    ASSERT_TRUE(view.has_value());
    const auto values = decode(*view->find_tensor(pin.tensor));
    EXPECT_EQ(values.front(), pin.first) << pin.model << " " << pin.tensor;
    EXPECT_EQ(values.back(), pin.last) << pin.model << " " << pin.tensor;
  }
}

TEST(TinyModel, MatricesTakeTheTypeAskedFor) {
  constexpr std::string_view kChosen = "blk.0.ffn_up.weight";
  const auto exact_bytes = tiny_model("llama-wide");
  ASSERT_TRUE(exact_bytes.has_value()) << exact_bytes.error().message;
  const auto exact_view = GgufView::parse(*exact_bytes, "exact");
  ASSERT_TRUE(exact_view.has_value()) << exact_view.error().message;
  const auto want = decode(*exact_view->find_tensor(kChosen));
  for (const FormatInfo& format : formats()) {
    const auto bytes = tiny_model(
        "llama-wide", [&](std::string_view name) { return name == kChosen ? format.type : TensorType::kF32; });
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    const auto view = GgufView::parse(*bytes, "wide");
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_EQ(view->find_tensor("blk.1.ffn_up.weight")->type, TensorType::kF32);
    const GgufTensor& tensor = *view->find_tensor(kChosen);
    EXPECT_EQ(tensor.type, format.type);
    const auto got = decode(tensor);
    // Near the true weights: by how much the coarsest format (2.6 bits) may be off.
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      error += std::pow(static_cast<double>(got[i] - want[i]), 2);
      power += std::pow(static_cast<double>(want[i]), 2);
    }
    EXPECT_LT(error / power, 0.1) << format.name;
  }
}

TEST(TinyModel, RefusesWhatItCannotMake) {
  EXPECT_FALSE(tiny_model("nonesuch").has_value());
  EXPECT_FALSE(tiny_golden("nonesuch").has_value());
  for (const FormatInfo& format : formats()) {
    EXPECT_EQ(tiny_model("llama", format.type).has_value(), format.block_elems <= 32) << format.name;
  }
}

TEST(SyntheticModel, ReadsBackWithTheShapeAskedFor) {
  const SyntheticShape shape{
      .layers = 2, .width = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn = 768, .vocab = 1000, .context = 512};
  for (const FormatInfo& format : formats()) {
    std::vector<std::byte> bytes;
    const auto sink = [&bytes](std::span<const std::byte> more) -> Status {
      bytes.insert(bytes.end(), more.begin(), more.end());
      return {};
    };
    const auto status = write_synthetic_model(shape, format.type, 1, sink);
    ASSERT_TRUE(status.has_value()) << status.error().message;
    const auto view = GgufView::parse(bytes, "synthetic");
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_EQ(view->tensors().size(), 2u * 12 + 3);
    EXPECT_EQ(view->get_strings("tokenizer.ggml.tokens")->size(), 1000u);
    const GgufTensor& down = *view->find_tensor("blk.1.ffn_down.weight");
    EXPECT_EQ(down.dims[0], 768u);
    EXPECT_EQ(down.dims[1], 256u);
    double power = 0;
    const auto values = decode(down);
    for (const float v : values) power += static_cast<double>(v) * static_cast<double>(v);
    // Unit gain: columns times the mean square of a weight.
    EXPECT_NEAR(power / static_cast<double>(values.size()) * 768, 1.0, 0.1) << format.name;
  }
}

TEST(SyntheticModel, RefusesShapesThatAreNoModel) {
  const auto sink = [](std::span<const std::byte>) -> Status { return {}; };
  SyntheticShape shape;
  shape.heads = 27;
  EXPECT_FALSE(write_synthetic_model(shape, TensorType::kF32, 1, sink).has_value());
  shape = {};
  shape.vocab = 259;
  EXPECT_FALSE(write_synthetic_model(shape, TensorType::kF32, 1, sink).has_value());
  shape = {};
  shape.layers = 0;
  EXPECT_FALSE(write_synthetic_model(shape, TensorType::kF32, 1, sink).has_value());
}

}  // namespace
}  // namespace quern
