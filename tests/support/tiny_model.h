// Tiny random models of every architecture, as GGUF bytes in memory, with the float32 oracle's figures for them.
//
// Models are rows of tools/oracle/tiny_models.json; weights are a pure function of the model's and the tensor's name,
// bit for bit those of tools/oracle/tiny_weights.py, whose reference wrote tests/data/tiny/<name>.json. For tests only:
// files are found from the source tree. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quant/format.h"

namespace quern {

// In the table's order.
Result<std::vector<std::string>> tiny_model_names();

// The type of each matrix; without it, float32. Norms, biases and RoPE factors are always float32.
using TinyTypeChoice = std::function<TensorType(std::string_view tensor)>;

// The model as a GGUF file with a tokenizer and a chat template. kNotFound for an unknown name, kInvalidArgument where
// a matrix's rows are no whole number of the chosen type's blocks (all rows are multiples of 32; of "llama-wide", of
// 256).
Result<std::vector<std::byte>> tiny_model(std::string_view name, const TinyTypeChoice& type_of = {});
Result<std::vector<std::byte>> tiny_model(std::string_view name, TensorType matrices);

// What the float32 oracle says of the model as made in float32.
struct TinyGolden {
  std::vector<int32_t> ids;
  std::map<size_t, std::vector<float>> logits;  // by position, the whole vocabulary after ids[0..position]
  std::vector<int32_t> greedy;                  // continuation of ids
  std::vector<float> margins;                   // of each greedy token's logit over the next
};

Result<TinyGolden> tiny_golden(std::string_view name);

}  // namespace quern
