// Synthetic models: the shape of a real one with random weights, streamed, so that a file of many gigabytes takes
// little memory to make. Speed and memory use do not depend on the values; these are scaled so that activations stay
// finite.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "gguf/writer.h"
#include "quant/format.h"

namespace quern {

// The defaults are those of qwen2 7B.
struct SyntheticShape {
  uint32_t layers = 28;
  uint32_t width = 3584;
  uint32_t heads = 28;
  uint32_t kv_heads = 4;
  uint32_t head_dim = 128;
  uint32_t ffn = 18944;
  uint32_t vocab = 152064;
  uint32_t context = 32768;
};

// A qwen2 model of this shape with all matrices in `type`. kInvalidArgument where the shape is no model (see message).
// The same arguments give the same bytes.
Status write_synthetic_model(const SyntheticShape& shape, TensorType type, uint64_t seed, const ByteSink& sink);

}  // namespace quern
