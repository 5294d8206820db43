#include "server/openai/answer.h"

#include <fmt/format.h>

#include <iterator>

#include "base/digest.h"
#include "server/openai/json_text.h"

namespace quern::server {

std::string answer_id(const Call& call, std::string_view prefix) {
  return fmt::format("{}{}", prefix, std::string_view(call.id).substr(call.id.find('_') + 1));
}

std::string fingerprint(const Model& model) {
  const std::string text = fmt::format("{} {}", QUERN_VERSION, model.engine().info().isa);
  return fmt::format("fp_{:.10}", to_hex(digest(std::as_bytes(std::span(text)))));
}

std::string answer_head(const Call& call, const Model& model, std::string_view id_prefix, std::string_view object) {
  std::string head = fmt::format(R"({{"id":"{}","object":"{}","created":{},"model":)", answer_id(call, id_prefix),
                                 object, static_cast<int64_t>(call.record.time_s));
  append_json_string(head, model.name);
  fmt::format_to(std::back_inserter(head), R"(,"system_fingerprint":"{}")", fingerprint(model));
  return head;
}

std::string_view finish_reason(StopReason reason, bool calls) {
  switch (reason) {
    case StopReason::kEndOfText:
    case StopReason::kStopString:
      return calls ? "tool_calls" : "stop";
    case StopReason::kMaxTokens:
    case StopReason::kContextFull:
      return "length";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

Usage usage_of(std::span<const Generation> generations) {
  Usage usage;
  for (const Generation& g : generations) {
    usage.prompt_tokens += g.stats.prompt_tokens;
    usage.cached_tokens += g.stats.cached_tokens;
    usage.completion_tokens += g.stats.generated_tokens;
  }
  return usage;
}

std::string usage_json(const Usage& u) {
  return fmt::format(
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}}}})",
      u.prompt_tokens, u.completion_tokens, u.prompt_tokens + u.completion_tokens, u.cached_tokens);
}

std::string figures_json(std::span<const Generation> generations, std::span<const size_t> removed,
                         const GenerateOptions& options) {
  std::string text;
  for (size_t i = 0; i < generations.size(); ++i) {
    const GenerateStats& s = generations[i].stats;
    if (i > 0) text += ',';
    fmt::format_to(std::back_inserter(text),
                   R"({{"seed":{},"queue_ms":{:.3f},"first_token_ms":{:.3f},"prompt_tps":{:.2f},"tps":{:.2f},)"
                   R"("truncated_tokens":{}}})",
                   options.sampling.seed, s.queue_seconds * 1e3, s.first_token_seconds * 1e3, s.prompt_tps(),
                   s.generate_tps(options.n), removed[i]);
  }
  return generations.size() == 1 ? text : fmt::format("[{}]", text);
}

}  // namespace quern::server
