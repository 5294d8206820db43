// SamplingOptions: how the next token is chosen from the logits. Names, defaults and meanings are llama.cpp's (its
// tools/completion/README.md, "Generation Flags"), so that settings carry over; a neutral value switches a stage off.
//
// The stages, in order: token mask, logit_bias, repeat/presence/frequency penalties, DRY, then temperature == 0 takes
// the greatest logit (the lower id on a tie), else top_k, typical_p, top_p, min_p, temperature, and a draw.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quern {

struct LogitBias {
  int32_t id = 0;
  float bias = 0;  // added to the logit; -infinity forbids the token
};

struct SamplingOptions {
  float temperature = 0.8f;
  int32_t top_k = 40;
  float top_p = 0.95f;
  float min_p = 0.05f;
  float typical_p = 1.0f;
  float repeat_penalty = 1.0f;
  int32_t repeat_last_n = 64;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float dry_multiplier = 0;
  float dry_base = 1.75f;
  int32_t dry_allowed_length = 2;
  int32_t dry_penalty_last_n = -1;
  uint64_t seed = 0;
  int32_t logprobs = -1;
  // Text at which DRY stops to look for repeats.
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  std::vector<LogitBias> logit_bias;
};

struct TokenLogProb {
  int32_t id;
  double logprob;  // natural logarithm, under the softmax of the model's own logits
};

}  // namespace quern
