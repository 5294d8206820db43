#include "tests/support/synthetic_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "tests/support/tiny_tokenizer.h"

namespace quern {
namespace {

// Encoding billions of weights would take hours, and blocks drawn from raw bits would hold wild scales: so a pool of
// blocks is encoded from random numbers once, and tensors are drawn from it.
constexpr size_t kPoolElements = 1 << 16;
constexpr size_t kPieceBytes = 1 << 20;

using Pool = std::vector<std::byte>;

// Of weights uniform in +-sqrt(3 / columns): a product with a unit-variance vector then has unit variance.
Pool make_pool(const FormatInfo& format, uint64_t columns, uint64_t seed) {
  const float scale = std::sqrt(3.0f / static_cast<float>(columns));
  SplitMix64 rng(seed ^ columns);
  std::vector<float> values(kPoolElements);
  for (float& v : values) v = scale * rng.next_float();
  Pool pool(kPoolElements / format.block_elems * format.block_bytes);
  format.encode(values.data(), pool.data(), values.size());
  return pool;
}

TensorProducer draw_from(std::shared_ptr<const Pool> pool, size_t block_bytes, uint64_t blocks, uint64_t seed) {
  return [=](const ByteSink& sink) -> Status {
    SplitMix64 rng(seed);
    const size_t pool_blocks = pool->size() / block_bytes;
    std::vector<std::byte> piece;
    for (uint64_t left = blocks; left > 0;) {
      const uint64_t n = std::min<uint64_t>(left, kPieceBytes / block_bytes);
      piece.resize(n * block_bytes);
      for (uint64_t i = 0; i < n; ++i) {
        std::memcpy(piece.data() + i * block_bytes, pool->data() + rng.next() % pool_blocks * block_bytes, block_bytes);
      }
      QUERN_CHECK_OK(sink(piece));
      left -= n;
    }
    return {};
  };
}

class SyntheticWriter {
 public:
  SyntheticWriter(TensorType type, uint64_t seed) : format_(format_info(type)), rng_(seed), seed_(seed) {}

  Status matrix(std::string name, uint64_t rows, uint64_t columns) {
    if (!row_bytes(format_.type, columns)) {
      return fail_f(ErrorCode::kInvalidArgument, "{}: rows of {} elements are no whole blocks of {}", name, columns,
                    format_.name);
    }
    auto& pool = pools_[columns];
    if (!pool) pool = std::make_shared<const Pool>(make_pool(format_, columns, seed_));
    const uint64_t blocks = rows * (columns / format_.block_elems);
    writer.add_tensor({std::move(name), format_.type, {columns, rows}},
                      draw_from(pool, format_.block_bytes, blocks, rng_.next()));
    return {};
  }

  // offset + scale * u, u uniform in [-1, 1).
  void vector(std::string name, uint64_t n, float offset, float scale) {
    std::vector<float> values(n);
    for (float& v : values) v = offset + scale * rng_.next_float();
    writer.add_tensor({std::move(name), TensorType::kF32, {n}}, [values = std::move(values)](const ByteSink& sink) {
      return sink(std::as_bytes(std::span(values)));
    });
  }

  GgufWriter writer;

 private:
  const FormatInfo& format_;
  SplitMix64 rng_;
  uint64_t seed_;
  std::map<uint64_t, std::shared_ptr<const Pool>> pools_;  // by columns
};

Status check(const SyntheticShape& s) {
  if (s.layers == 0 || s.width == 0 || s.heads == 0 || s.kv_heads == 0 || s.head_dim == 0 || s.ffn == 0 ||
      s.context == 0) {
    return fail(ErrorCode::kInvalidArgument, "a dimension is 0");
  }
  if (s.heads % s.kv_heads != 0 || s.head_dim % 2 != 0) {
    return fail_f(ErrorCode::kInvalidArgument,
                  "{} heads of {} with {} KV heads: heads must be a multiple, the width even", s.heads, s.head_dim,
                  s.kv_heads);
  }
  if (s.vocab < kTinyLeastVocab) {
    return fail_f(ErrorCode::kInvalidArgument, "a vocabulary of {}, it must have at least {}", s.vocab,
                  kTinyLeastVocab);
  }
  return {};
}

void add_keys(GgufWriter& writer, const SyntheticShape& s, std::string_view type) {
  writer.add("general.architecture", "qwen2");
  writer.add("general.name", fmt::format("synthetic {} x {} {}", s.layers, s.width, type));
  writer.add("qwen2.context_length", s.context);
  writer.add("qwen2.embedding_length", s.width);
  writer.add("qwen2.block_count", s.layers);
  writer.add("qwen2.feed_forward_length", s.ffn);
  writer.add("qwen2.attention.head_count", s.heads);
  writer.add("qwen2.attention.head_count_kv", s.kv_heads);
  writer.add("qwen2.attention.key_length", s.head_dim);
  writer.add("qwen2.attention.value_length", s.head_dim);
  writer.add("qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add("qwen2.rope.freq_base", 1e6f);
  add_tiny_tokenizer(writer, s.vocab);
}

Status add_block(SyntheticWriter& w, const SyntheticShape& s, uint32_t layer) {
  const auto name = [layer](std::string_view part) { return fmt::format("blk.{}.{}", layer, part); };
  const uint64_t q_width = uint64_t{s.heads} * s.head_dim;
  const uint64_t kv_width = uint64_t{s.kv_heads} * s.head_dim;
  w.vector(name("attn_norm.weight"), s.width, 1.0f, 0.1f);
  QUERN_CHECK_OK(w.matrix(name("attn_q.weight"), q_width, s.width));
  QUERN_CHECK_OK(w.matrix(name("attn_k.weight"), kv_width, s.width));
  QUERN_CHECK_OK(w.matrix(name("attn_v.weight"), kv_width, s.width));
  w.vector(name("attn_q.bias"), q_width, 0.0f, 0.1f);
  w.vector(name("attn_k.bias"), kv_width, 0.0f, 0.1f);
  w.vector(name("attn_v.bias"), kv_width, 0.0f, 0.1f);
  QUERN_CHECK_OK(w.matrix(name("attn_output.weight"), s.width, q_width));
  w.vector(name("ffn_norm.weight"), s.width, 1.0f, 0.1f);
  QUERN_CHECK_OK(w.matrix(name("ffn_gate.weight"), s.ffn, s.width));
  QUERN_CHECK_OK(w.matrix(name("ffn_up.weight"), s.ffn, s.width));
  return w.matrix(name("ffn_down.weight"), s.width, s.ffn);
}

}  // namespace

Status write_synthetic_model(const SyntheticShape& shape, TensorType type, uint64_t seed, const ByteSink& sink) {
  QUERN_CHECK_OK(check(shape));
  SyntheticWriter w(type, seed);
  add_keys(w.writer, shape, format_info(type).name);
  QUERN_CHECK_OK(w.matrix("token_embd.weight", shape.vocab, shape.width));
  for (uint32_t layer = 0; layer < shape.layers; ++layer) QUERN_CHECK_OK(add_block(w, shape, layer));
  w.vector("output_norm.weight", shape.width, 1.0f, 0.1f);
  QUERN_CHECK_OK(w.matrix("output.weight", shape.vocab, shape.width));
  return w.writer.write(sink);
}

}  // namespace quern
