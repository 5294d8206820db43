// Shapes that no tiny model has: every width of head, every way to share KV heads, widths that are no whole vectors.
// Each runs alike on every instruction set, in every chunk size.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "base/rng.h"
#include "tests/engine/engine_fixture.h"
#include "tests/support/tiny_tokenizer.h"

namespace quern {
namespace {

struct Shape {
  uint32_t d_model, heads, kv_heads, head_dim, d_ff, rotated;
};

std::vector<std::byte> make_model(const Shape& s) {
  GgufWriter w;
  w.add("general.architecture", "llama");
  w.add("llama.context_length", 512u);
  w.add("llama.embedding_length", s.d_model);
  w.add("llama.block_count", 2u);
  w.add("llama.feed_forward_length", s.d_ff);
  w.add("llama.attention.head_count", s.heads);
  w.add("llama.attention.head_count_kv", s.kv_heads);
  w.add("llama.attention.key_length", s.head_dim);
  w.add("llama.attention.value_length", s.head_dim);
  w.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  w.add("llama.rope.dimension_count", s.rotated);
  add_tiny_tokenizer(w, 260);
  SplitMix64 rng(s.head_dim + s.heads);
  std::deque<std::vector<float>> data;  // the writer keeps views
  const auto add = [&](const std::string& name, uint64_t rows, uint64_t cols) {
    auto& values = data.emplace_back(rows * cols);
    for (float& v : values) v = rows == 1 ? 1.0f : rng.next_float() / std::sqrt(static_cast<float>(cols)) * 1.7f;
    std::vector<uint64_t> dims = {cols};
    if (rows > 1) dims.push_back(rows);
    w.add_tensor({name, TensorType::kF32, dims}, std::as_bytes(std::span(values)));
  };
  add("token_embd.weight", 260, s.d_model);
  add("output_norm.weight", 1, s.d_model);
  for (int i = 0; i < 2; ++i) {
    const std::string p = fmt::format("blk.{}.", i);
    add(p + "attn_norm.weight", 1, s.d_model);
    add(p + "attn_q.weight", s.heads * s.head_dim, s.d_model);
    add(p + "attn_k.weight", s.kv_heads * s.head_dim, s.d_model);
    add(p + "attn_v.weight", s.kv_heads * s.head_dim, s.d_model);
    add(p + "attn_output.weight", s.d_model, s.heads * s.head_dim);
    add(p + "ffn_norm.weight", 1, s.d_model);
    add(p + "ffn_gate.weight", s.d_ff, s.d_model);
    add(p + "ffn_up.weight", s.d_ff, s.d_model);
    add(p + "ffn_down.weight", s.d_model, s.d_ff);
  }
  auto bytes = w.bytes();
  EXPECT_TRUE(bytes.has_value()) << bytes.error().message;
  return std::move(bytes).value_or(std::vector<std::byte>());
}

TEST(Shapes, RunAlikeEverywhere) {
  const Shape shapes[] = {
      {64, 4, 4, 16, 96, 16},   // every head its own keys
      {64, 8, 1, 8, 96, 8},     // groups of 8, the narrowest head
      {48, 2, 2, 24, 80, 24},   // half a vector left over
      {80, 2, 1, 40, 100, 20},  // and part of it rotated
      {160, 2, 1, 80, 64, 80},  // as Phi-2 and StableLM have
      {72, 64, 1, 8, 40, 8},    // the largest group; more queries than a tile wants
      {40, 3, 1, 120, 33, 64},  // heads wider than the model
      {32, 1, 1, 1024, 32, 2},  // the widest head
  };
  const std::vector<int32_t> ids = random_ids(300, 260, 1);
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(fmt::format("{} heads of {}, {} of KV", shape.heads, shape.head_dim, shape.kv_heads));
    const auto bytes = make_model(shape);
    std::vector<float> want;
    for (const std::string& isa : supported_isas()) {
      const auto engine = load_bytes(bytes, {.n_threads = 2, .isa = isa});
      ASSERT_TRUE(engine.has_value()) << engine.error().message;
      const std::vector<float> got = all_logits(**engine, ids);
      for (float v : got) ASSERT_TRUE(std::isfinite(v));
      if (want.empty()) want = got;
      ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << isa;
    }
    for (size_t n_batch : {1u, 100u}) {
      const auto engine = load_bytes(bytes, {.n_batch = n_batch, .n_threads = 1, .n_parallel = 1});
      ASSERT_TRUE(engine.has_value());
      const auto last = (*engine)->logits(ids);
      ASSERT_TRUE(last.has_value());
      EXPECT_EQ(std::memcmp(last->data(), want.data() + 299 * 260, 260 * sizeof(float)), 0) << n_batch;
    }
  }
}

}  // namespace
}  // namespace quern
