// Options: the member `options` of Ollama's requests, with Ollama's defaults, and how they reach the engine.
//
// What has a meaning only for Ollama's own engine, and names that are not known, have no effect and are told in the
// header x-quern-ignored. Values; one thread at a time. Source: Ollama's docs/modelfile.md and api/types.go.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "quern/quern.h"
#include "server/body.h"

namespace quern::server::ollama {

struct Options {
  std::optional<int64_t> num_ctx, num_predict, seed;
  double temperature = 0.8, top_p = 0.9, min_p = 0, typical_p = 1;
  double repeat_penalty = 1.1, presence_penalty = 0, frequency_penalty = 0;
  int64_t top_k = 40, repeat_last_n = 64;
  std::vector<std::string> stop;

  void fields(FieldVisitor& v);

  // For a model that has n_ctx positions; `max_tokens` is the server's own limit for requests without one, 0 is none.
  // kInvalidArgument: num_ctx is beyond n_ctx.
  [[nodiscard]] Result<GenerateOptions> for_engine(size_t n_ctx, size_t max_tokens) const;
};

// Reads the member; null is an empty object. Ignored names come as "options.NAME".
std::optional<BodyError> read_options(const Json& value, Options& to, std::vector<std::string>& ignored);

// The JSON schema of the member, as text that lives as long as the program.
const std::string& options_schema();

}  // namespace quern::server::ollama
