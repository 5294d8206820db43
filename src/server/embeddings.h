// embed: texts to vectors: the mean of the model's final states over all tokens, divided by its length (L2).
//
// The texts of all callers pass the adaptive batcher (engine/adaptive_batcher.h), one for each model.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/call.h"
#include "server/models.h"

namespace quern::server {

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // in order of the inputs, [d_model] each
  size_t prompt_tokens = 0;
};

// `done` is called once, on the service's thread or at once. Fills in the call's record. The error is that of the first
// input that failed; its message names the input.
void embed(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
           std::vector<std::vector<int32_t>> inputs, std::function<void(Result<Embeddings>)> done);

}  // namespace quern::server
