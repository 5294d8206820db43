// What the answers of OpenAI's APIs have in common, as JSON text. Pure functions; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "quern/quern.h"
#include "server/body.h"
#include "server/call.h"
#include "server/models.h"

namespace quern::server {

// "chatcmpl-...": the call's own number with the prefix of its kind.
std::string answer_id(const Call& call, std::string_view prefix);

// Changes when the version does, or the instruction set that computes.
std::string fingerprint(const Model& model);

// {"id": ..., "object": ..., "created": ..., "model": ..., "system_fingerprint": ... without the closing brace.
std::string answer_head(const Call& call, const Model& model, std::string_view id_prefix, std::string_view object);

// "stop" or "length"; "cancelled" for what nobody waits for any more. An answer that has `calls` and was not cut ends
// with "tool_calls".
std::string_view finish_reason(StopReason reason, bool calls = false);

// Of the prompts of a request, each once, and all samples.
struct Usage {
  size_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};
Usage usage_of(std::span<const Generation> generations);
std::string usage_json(const Usage& usage);

// Times and rates of each prompt as they were measured: an object, or an array of them for several prompts.
// `removed[i]`: tokens that were cut out of prompt i.
std::string figures_json(std::span<const Generation> generations, std::span<const size_t> removed,
                         const GenerateOptions& options);

}  // namespace quern::server
