// The members that chat completions and completions share. Values; any thread.
#pragma once

#include <string>
#include <vector>

#include "server/grammars.h"
#include "server/openai/sampling_members.h"

namespace quern::server {

struct GenerationMembers {
  std::string model;
  int64_t n = 1;
  bool stream = false;
  Json stream_options, response_format;
  std::vector<std::string> stop;
  SamplingMembers sampling;

  void fields(FieldVisitor& v);

  // What no single member shows to be wrong.
  [[nodiscard]] std::optional<BodyError> check() const;
  [[nodiscard]] bool include_usage() const;
  // What the answers must look like.
  [[nodiscard]] bool wants_format() const;
  std::optional<BodyError> take_grammar(Grammars& grammars, Grammar& to) const;
  // Whether the engine has slots for that many samples of a prompt, `n` or `best_of`.
  [[nodiscard]] std::optional<BodyError> check_samples(size_t samples, size_t slots) const;
};

}  // namespace quern::server
