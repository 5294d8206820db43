// The members by which OpenAI's APIs choose tokens, with that API's names, bounds and defaults (temperature 1, top_p 1,
// nothing else), and quern's further samplers by their own names, off unless asked for. Values; any thread.
#pragma once

#include <optional>

#include "quern/sampling.h"
#include "server/body.h"

namespace quern::server {

struct SamplingMembers {
  double temperature = 1, top_p = 1, presence_penalty = 0, frequency_penalty = 0;
  // Absent: one by chance, so that asking again gives another answer. Which one it was is told.
  std::optional<int64_t> seed;
  Json logit_bias;
  SamplingOptions more = neutral();  // the rest

  void fields(FieldVisitor& v);

  // What a model with that many tokens samples by; the problem is that of a token in logit_bias.
  [[nodiscard]] std::optional<BodyError> take(size_t n_vocab, SamplingOptions& to) const;

 private:
  static SamplingOptions neutral();
};

}  // namespace quern::server
