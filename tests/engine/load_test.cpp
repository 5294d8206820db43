// What load refuses, with which words; split files; damaged ones, which must never crash (run under ASan in CI).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/rng.h"
#include "tests/engine/engine_fixture.h"

namespace quern {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

template <class T>
Patch set(const std::string& key, T value) {
  return {{key}, [key, value](GgufWriter& w) { w.add(key, value); }};
}

Patch drop(const std::string& name) {
  return {{name}, {}};
}

Patch reshape(const std::string& name, std::vector<uint64_t> dims) {
  static const std::vector<std::byte> zeros(1 << 20);
  size_t n = sizeof(float);
  for (uint64_t d : dims) n *= d;
  return {{name}, [=](GgufWriter& w) { w.add_tensor({name, TensorType::kF32, dims}, std::span(zeros).first(n)); }};
}

struct BadModel {
  const char* what;
  Patch patch;
  ErrorCode code;
  const char* message;  // a part of it
  const char* base = "llama";
};

std::vector<BadModel> bad_models() {
  constexpr auto kCorrupt = ErrorCode::kCorrupt;
  constexpr auto kUnsupported = ErrorCode::kUnsupported;
  return {
      {"no architecture", drop("general.architecture"), ErrorCode::kNotFound, "general.architecture"},
      {"unknown architecture", set("general.architecture", "mamba9"), kUnsupported, "mamba9"},
      {"architecture of another type", set("general.architecture", 7), kCorrupt, "general.architecture"},
      {"no layers key", drop("llama.block_count"), ErrorCode::kNotFound, "llama.block_count"},
      {"no layers", set("llama.block_count", 0u), kCorrupt, "llama.block_count"},
      {"more layers than tensors", set("llama.block_count", 4u), kCorrupt, "blk.3."},
      {"absurd layers", set("llama.block_count", 4000000000u), kCorrupt, "llama.block_count"},
      {"negative layers", set("llama.block_count", -1), kCorrupt, "llama.block_count"},
      {"layers as text", set("llama.block_count", "three"), kCorrupt, "llama.block_count"},
      {"no heads", set("llama.attention.head_count", 0u), kCorrupt, "head_count"},
      {"absurd heads", set("llama.attention.head_count", 1u << 30), kCorrupt, "head_count"},
      {"no KV heads", set("llama.attention.head_count_kv", 0u), kCorrupt, "head_count_kv"},
      {"KV heads that do not divide", set("llama.attention.head_count_kv", 3u), kCorrupt, "4 query heads"},
      {"more KV heads than heads", set("llama.attention.head_count_kv", 8u), kCorrupt, "8 KV heads"},
      {"odd head", set("llama.attention.key_length", 15u), kUnsupported, "15"},
      {"head not a multiple of 8", set("llama.attention.key_length", 20u), kUnsupported, "20"},
      {"keys and values of different width", set("llama.attention.value_length", 32u), kUnsupported, "32"},
      {"wider heads than the tensors", set("llama.attention.key_length", 24u), kCorrupt, "attn_q"},
      {"width of another model", set("llama.embedding_length", 128u), kCorrupt, "tensor"},
      {"width that leaves no head", set("llama.embedding_length", 2u), kUnsupported, "heads of 0"},
      {"no width", set("llama.embedding_length", 0u), kCorrupt, "embedding_length"},
      {"huge width", set("llama.embedding_length", ~uint64_t{0}), kCorrupt, "embedding_length"},
      {"feed-forward of another model", set("llama.feed_forward_length", 161u), kCorrupt, "ffn_gate"},
      {"no feed-forward", set("llama.feed_forward_length", 0u), kCorrupt, "feed_forward_length"},
      {"no context", set("llama.context_length", 0u), kCorrupt, "context_length"},
      {"absurd context", set("llama.context_length", ~uint64_t{0}), kCorrupt, "context_length"},
      {"context beyond the sine", set("llama.context_length", 1u << 28), kUnsupported, "--ctx"},
      {"no epsilon", drop("llama.attention.layer_norm_rms_epsilon"), ErrorCode::kNotFound, "epsilon"},
      {"epsilon NaN", set("llama.attention.layer_norm_rms_epsilon", kNan), kCorrupt, "epsilon"},
      {"epsilon 0", set("llama.attention.layer_norm_rms_epsilon", 0.0f), kCorrupt, "epsilon"},
      {"epsilon infinite", set("llama.attention.layer_norm_rms_epsilon", kInf), kCorrupt, "epsilon"},
      {"scale NaN", set("llama.attention.scale", kNan), kCorrupt, "attention.scale"},
      {"scale negative", set("llama.attention.scale", -1.0f), kCorrupt, "attention.scale"},
      {"no rotated dimensions", set("llama.rope.dimension_count", 0u), kCorrupt, "0 rotated"},
      {"odd rotated dimensions", set("llama.rope.dimension_count", 7u), kCorrupt, "7 rotated"},
      {"more rotated than there are", set("llama.rope.dimension_count", 18u), kCorrupt, "18 rotated"},
      {"RoPE base 0", set("llama.rope.freq_base", 0.0f), kCorrupt, "base of RoPE"},
      {"RoPE base NaN", set("llama.rope.freq_base", kNan), kCorrupt, "base of RoPE"},
      {"unknown scaling", set("llama.rope.scaling.type", "spiral"), kUnsupported, "spiral"},
      {"YaRN factor negative", set("llama.rope.scaling.factor", -2.0f), kCorrupt, "scaled by", "llama-yarn"},
      {"YaRN factor infinite", set("llama.rope.scaling.factor", kInf), kCorrupt, "scaled by", "llama-yarn"},
      {"YaRN weight NaN", set("llama.rope.scaling.yarn_ext_factor", kNan), kCorrupt, "scaling", "llama-yarn"},
      {"YaRN context 0", set("llama.rope.scaling.original_context_length", 0u), kCorrupt, "original context",
       "llama-yarn"},
      {"RoPE divisors of another model", reshape("rope_freqs.weight", {5}), kCorrupt, "rope_freqs.weight"},
      {"RoPE divisors of zero", reshape("rope_freqs.weight", {8}), kCorrupt, "rope_freqs.weight"},
      {"no embedding", drop("token_embd.weight"), kCorrupt, "token_embd.weight"},
      {"no final norm", drop("output_norm.weight"), kCorrupt, "output_norm.weight"},
      {"no query", drop("blk.1.attn_q.weight"), kCorrupt, "blk.1.attn_q.weight"},
      {"no down projection", drop("blk.2.ffn_down.weight"), kCorrupt, "blk.2.ffn_down.weight"},
      {"transposed key", reshape("blk.0.attn_k.weight", {32, 64}), kCorrupt, "blk.0.attn_k.weight"},
      {"norm too long", reshape("blk.0.attn_norm.weight", {65}), kCorrupt, "blk.0.attn_norm.weight"},
      {"bias too short", reshape("blk.0.attn_q.bias", {63}), kCorrupt, "blk.0.attn_q.bias"},
      {"head of another vocabulary", reshape("output.weight", {64, 260}), kCorrupt, "output.weight"},
      {"vocabulary larger than the embedding", reshape("token_embd.weight", {64, 200}), kCorrupt, "261 tokens"},
      {"no tokenizer", drop("tokenizer.ggml.model"), ErrorCode::kNotFound, "tokenizer"},
      {"no tokens", drop("tokenizer.ggml.tokens"), ErrorCode::kNotFound, "tokenizer.ggml.tokens"},
      {"template of another type", set("tokenizer.chat_template", 1u), kCorrupt, "chat_template"},
      {"no QK norm", drop("blk.0.attn_q_norm.weight"), kCorrupt, "attn_q_norm", "qwen3"},
      {"no post norm", drop("blk.1.post_ffw_norm.weight"), kCorrupt, "post_ffw_norm", "gemma3"},
      {"window of another type", set("gemma3.attention.sliding_window", "x"), kCorrupt, "sliding_window", "gemma3"},
      {"no fused tensor", drop("blk.0.attn_qkv.weight"), kCorrupt, "attn_qkv", "phi3"},
      {"fused tensor too small", reshape("blk.0.attn_qkv.weight", {64, 64}), kCorrupt, "attn_qkv", "phi3"},
  };
}

TEST(Load, RefusesBadModels) {
  for (const BadModel& bad : bad_models()) {
    const auto engine = load_bytes(patched(model_bytes(bad.base), bad.patch), {.n_threads = 1});
    ASSERT_FALSE(engine.has_value()) << bad.what;
    EXPECT_EQ(engine.error().code, bad.code) << bad.what << ": " << engine.error().message;
    EXPECT_THAT(engine.error().message, HasSubstr(bad.message)) << bad.what;
    EXPECT_THAT(engine.error().message, HasSubstr("model.gguf")) << bad.what;
  }
}

TEST(Load, RefusesBadOptions) {
  const auto bytes = model_bytes("llama");
  for (const EngineOptions& o :
       {EngineOptions{.n_ctx = 1025}, EngineOptions{.n_batch = 0}, EngineOptions{.n_parallel = 0},
        EngineOptions{.n_batch = SIZE_MAX}, EngineOptions{.n_parallel = SIZE_MAX}, EngineOptions{.n_ctx = SIZE_MAX},
        EngineOptions{.n_threads = 1u << 30}, EngineOptions{.n_threads = 1, .n_threads_batch = 1u << 30}}) {
    const auto engine = load_bytes(bytes, o);
    ASSERT_FALSE(engine.has_value());
    EXPECT_EQ(engine.error().code, ErrorCode::kInvalidArgument) << engine.error().message;
  }
  const auto isa = load_bytes(bytes, {.isa = "sse9"});
  ASSERT_FALSE(isa.has_value());
  EXPECT_EQ(isa.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(isa.error().message, HasSubstr("ref"));
  EXPECT_FALSE(Engine::load({.model_path = "/nonexistent/model.gguf"}).has_value());
  EXPECT_FALSE(Engine::load({}).has_value());
}

TEST(Load, ReportsWhatItDoesNotUse) {
  const Patch extra{{}, reshape("blk.0.mystery.weight", {4}).add};
  const auto engine = load_bytes(patched(model_bytes("llama"), extra), {.n_threads = 1});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  ASSERT_EQ((*engine)->info().notices.size(), 1u);
  EXPECT_THAT((*engine)->info().notices[0], HasSubstr("blk.0.mystery.weight"));
}

TEST(Load, TruncatedFilesAreErrors) {
  const auto bytes = model_bytes("llama", TensorType::kQ8_0);
  SplitMix64 rng(1);
  std::vector<size_t> cuts = {0, 1, 4, 8, 16, 23, 24, 25, bytes.size() - 1, bytes.size() - 32, bytes.size() - 33};
  while (cuts.size() < 60) cuts.push_back(rng.next() % bytes.size());
  for (size_t cut : cuts) {
    const auto engine = load_bytes(std::span(bytes).first(cut), {.n_threads = 1});
    ASSERT_FALSE(engine.has_value()) << cut << " of " << bytes.size() << " bytes";
    EXPECT_FALSE(engine.error().message.empty());
  }
}

// Any byte of the header may be wrong: load answers with an error or a model that runs or says why not.
TEST(Load, DamagedHeadersDoNotCrash) {
  const auto good = model_bytes("gemma3");
  const auto view = GgufView::parse(good, "good");
  ASSERT_TRUE(view.has_value());
  const uint64_t header = view->tensors()[0].file_offset;
  SplitMix64 rng(2);
  size_t loaded = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    auto bytes = good;
    // Half of the damages where the keys of the architecture are: at the front.
    const size_t at = rng.next() % (i % 2 == 0 ? header : std::min<uint64_t>(header, 900));
    bytes[at] ^= static_cast<std::byte>(1 + rng.next() % 255);
    auto engine = load_bytes(bytes, {.n_threads = 1});
    if (!engine) {
      ++refused;
      continue;
    }
    ++loaded;
    const int32_t ids[] = {1, 2, 3};
    (void)(*engine)->generate(ids, {.max_tokens = 2});
  }
  EXPECT_GT(loaded, 20u);
  EXPECT_GT(refused, 20u);
}

// Weights of random bits hold NaN and infinity: generation says so instead of giving text.
TEST(Load, WeightsThatAreNoNumbers) {
  const auto nan_norm = patched(model_bytes("llama"), {{"output_norm.weight"}, [](GgufWriter& w) {
                                                         static const std::vector<float> nans(64, kNan);
                                                         w.add_tensor({"output_norm.weight", TensorType::kF32, {64}},
                                                                      std::as_bytes(std::span(nans)));
                                                       }});
  auto engine = load_bytes(nan_norm, {.n_threads = 1});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  const int32_t ids[] = {1, 2, 3};
  const auto result = (*engine)->generate(ids, {.max_tokens = 2});
  ASSERT_FALSE(result.has_value());
  EXPECT_FALSE(result.error().message.empty());
}

class Split : public testing::Test {
 protected:
  // Writes the parts and returns the path of the first.
  std::string write_parts() {
    const auto view = GgufView::parse(bytes_, "whole");
    const std::vector<GgufWriter> parts = patched_writer(*view, {}).split(bytes_.size() / 2);
    n_parts_ = parts.size();
    for (size_t i = 0; i < parts.size(); ++i) part_bytes_.push_back(parts[i].bytes().value());
    for (size_t i = 0; i < parts.size(); ++i) folder_.write(name(i), part_bytes_[i]);
    return folder_.path(name(0));
  }
  [[nodiscard]] std::string name(size_t i) const { return fmt::format("m-{:05}-of-{:05}.gguf", i + 1, n_parts_); }

  TempFolder folder_;
  std::vector<std::byte> bytes_ = model_bytes("qwen2");
  std::vector<std::vector<std::byte>> part_bytes_;
  size_t n_parts_ = 0;
};

TEST_F(Split, EqualsTheWholeMappedOrNot) {
  const std::string path = write_parts();
  ASSERT_GE(n_parts_, 2u);
  const std::vector<int32_t> ids = random_ids(50, 260, 1);
  const auto whole = load_bytes(bytes_, {.n_threads = 1});
  ASSERT_TRUE(whole.has_value());
  const std::vector<float> want = all_logits(**whole, ids);
  for (bool use_mmap : {true, false}) {
    const auto single = load_bytes(bytes_, {.n_threads = 1, .use_mmap = use_mmap});
    ASSERT_TRUE(single.has_value()) << single.error().message;
    const auto split = Engine::load({.model_path = path, .n_threads = 1, .use_mmap = use_mmap});
    ASSERT_TRUE(split.has_value()) << split.error().message;
    for (Engine* e : {single->get(), split->get()}) {
      const std::vector<float> got = all_logits(*e, ids);
      ASSERT_EQ(got.size(), want.size());
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
    }
  }
}

TEST_F(Split, RefusesPartsThatAreMissingOrTwice) {
  const std::string path = write_parts();
  ASSERT_GE(n_parts_, 2u);
  folder_.write(name(1), part_bytes_[0]);
  auto engine = Engine::load({.model_path = path});
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kCorrupt) << engine.error().message;
  std::filesystem::remove(folder_.path(name(1)));
  engine = Engine::load({.model_path = path});
  ASSERT_FALSE(engine.has_value());
  EXPECT_THAT(engine.error().message, HasSubstr(name(1)));
  // The first part alone, under a name that hides the others.
  engine = load_bytes(part_bytes_[0]);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kNotFound) << engine.error().message;
}

}  // namespace
}  // namespace quern
