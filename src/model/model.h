// Model: a decoder's weights on a backend, and its forward pass over a ragged batch.
//
// One thread at a time. The file's bytes must outlive the model (the embedding table is read in place). A new
// architecture: arch/<family>.cpp and a row in arch/registry.cpp.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "kv/store.h"
#include "model/config.h"
#include "model/weights.h"

namespace quern {

// Tokens of several sequences, each span's tokens in order and its pages writable for its positions.
struct ForwardBatch {
  std::span<const int32_t> ids;             // [n_tokens]
  std::span<const SequenceSpan> sequences;  // cover all tokens, in order
  std::span<const uint32_t> rows;           // ascending rows of the batch whose results are wanted
  size_t n_logits = 0;                      // of those, the first so many want logits, the rest their final states
};

struct ModelMemory {
  size_t weight_bytes = 0;   // packed matrices, resident
  size_t scratch_bytes = 0;  // activations for max_tokens
};

struct ModelOptions {
  size_t n_ctx = 0;       // positions that a sequence may reach
  size_t max_tokens = 0;  // of one batch
};

class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] const ModelMemory& memory() const { return memory_; }
  [[nodiscard]] KvShape kv_shape() const { return {config_.n_layers, config_.n_kv_heads, config_.head_dim}; }
  // Positions of a layer's context that one token reads when it stands at position `n`.
  [[nodiscard]] virtual size_t visible(size_t layer, size_t n) const;

  // Writes keys and values of every token into `kv`, the logits [n_logits][n_vocab] of the first rows asked for, and
  // the final states, normalized, [rows.size() - n_logits][d_model] of the others. ids must be below n_vocab, the batch
  // no larger than max_tokens: the engine checks both.
  virtual void forward(const ForwardBatch& batch, KvStore& kv, float* logits, float* states) = 0;

  // Tensors of the file that the architecture does not use.
  [[nodiscard]] const std::vector<std::string>& unused_tensors() const { return unused_; }

 protected:
  Model(ModelConfig config, Backend& backend) : config_(std::move(config)), backend_(backend) {}

  ModelConfig config_;
  Backend& backend_;
  ModelMemory memory_;
  std::vector<std::string> unused_;
};

// Builds the model that the file describes. kUnsupported names the architectures that are known.
Result<std::unique_ptr<Model>> load_model(const GgufView& file, Backend& backend, const ModelOptions& options);

}  // namespace quern
