#include "model/config.h"

#include <cmath>

#include "model/arch/registry.h"

namespace quern {

namespace {

// Bounds of sense, far above any known model: they keep products of dimensions within 64 bits.
constexpr uint64_t kMaxLayers = 4096, kMaxWidth = 1u << 20, kMaxContext = 1u << 28, kMaxHeads = 4096;
// Query heads that share one KV head; the attention tiles of the CPU are made for it.
constexpr uint64_t kMaxGroup = 64;

Result<size_t> bounded(const GgufView& file, std::string_view key, uint64_t max) {
  const std::string name = arch_key(file, key);
  QUERN_TRY(const uint64_t v, file.get_u64(name));
  if (v == 0 || v > max) {
    return fail_f(ErrorCode::kCorrupt, "{}: key {} is {}, expected 1 to {}", file.file_name(), name, v, max);
  }
  return static_cast<size_t>(v);
}

Result<size_t> bounded_or(const GgufView& file, std::string_view key, uint64_t absent, uint64_t max) {
  if (file.find(arch_key(file, key)) == nullptr) return static_cast<size_t>(absent);
  return bounded(file, key, max);
}

}  // namespace

std::string arch_key(const GgufView& file, std::string_view key) {
  const auto arch = file.get_string("general.architecture");
  return fmt::format("{}.{}", arch ? *arch : std::string_view("unknown"), key);
}

Result<ModelConfig> read_config(const GgufView& file) {
  ModelConfig c;
  // Before any other key: an unknown architecture has keys of its own, and their absence is not what is wrong.
  QUERN_TRY(const ArchInfo* arch, find_architecture(file));
  c.arch = arch->name;
  QUERN_TRY(c.n_layers, bounded(file, "block_count", kMaxLayers));
  QUERN_TRY(c.d_model, bounded(file, "embedding_length", kMaxWidth));
  QUERN_TRY(c.d_ff, bounded(file, "feed_forward_length", kMaxWidth));
  QUERN_TRY(c.n_heads, bounded(file, "attention.head_count", kMaxHeads));
  QUERN_TRY(c.n_kv_heads, bounded_or(file, "attention.head_count_kv", c.n_heads, kMaxHeads));
  QUERN_TRY(c.n_ctx_train, bounded(file, "context_length", kMaxContext));
  if (c.n_heads % c.n_kv_heads != 0 || c.n_heads / c.n_kv_heads > kMaxGroup) {
    return fail_f(ErrorCode::kCorrupt, "{}: {} query heads cannot share {} KV heads", file.file_name(), c.n_heads,
                  c.n_kv_heads);
  }
  QUERN_TRY(c.head_dim, bounded_or(file, "attention.key_length", c.d_model / c.n_heads, kMaxWidth));
  QUERN_TRY(const size_t value_dim, bounded_or(file, "attention.value_length", c.head_dim, kMaxWidth));
  if (value_dim != c.head_dim || c.head_dim % 8 != 0 || c.head_dim == 0 || c.head_dim > 1024) {
    return fail_f(
        ErrorCode::kUnsupported,
        "{}: heads of {} key and {} value dimensions; this engine runs equal ones, a multiple of 8 up to 1024",
        file.file_name(), c.head_dim, value_dim);
  }
  QUERN_TRY(c.eps, file.get_f32(arch_key(file, "attention.layer_norm_rms_epsilon")));
  if (!(c.eps > 0.0f && c.eps < 1.0f)) {
    return fail_f(ErrorCode::kCorrupt, "{}: the epsilon of RMSNorm is {}", file.file_name(), c.eps);
  }
  QUERN_TRY(c.attention_scale,
            file.get_f32(arch_key(file, "attention.scale"), 1.0f / std::sqrt(static_cast<float>(c.head_dim))));
  if (!(c.attention_scale > 0.0f && c.attention_scale < 1e6f)) {
    return fail_f(ErrorCode::kCorrupt, "{}: key {} is {}", file.file_name(), arch_key(file, "attention.scale"),
                  c.attention_scale);
  }
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return fail_f(ErrorCode::kCorrupt, "{}: no tensor token_embd.weight: not a language model, or a vocabulary alone",
                  file.file_name());
  }
  c.n_vocab = embedding->n_rows();
  return c;
}

}  // namespace quern
