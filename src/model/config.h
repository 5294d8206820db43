// ModelConfig: the shape of a decoder, read from a GGUF file's keys.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/reader.h"

namespace quern {

struct ModelConfig {
  std::string arch;
  size_t n_layers = 0;
  size_t d_model = 0;
  size_t d_ff = 0;
  size_t n_heads = 0;     // of queries
  size_t n_kv_heads = 0;  // of keys and values; divides n_heads
  size_t head_dim = 0;
  size_t n_vocab = 0;
  size_t n_ctx_train = 0;  // positions that the model was made for
  float eps = 1e-5f;       // of RMSNorm
  float attention_scale = 0;
  size_t window = 0;  // sliding window in positions, 0: none
};

// The keys that all decoders share, under the file's own architecture name, checked for sense.
Result<ModelConfig> read_config(const GgufView& file);

// "<arch>.<key>", as GGUF names an architecture's keys.
std::string arch_key(const GgufView& file, std::string_view key);

}  // namespace quern
