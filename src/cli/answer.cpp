#include "cli/answer.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/limits.h"
#include "os/memory.h"

namespace quern::cli {

namespace {

nlohmann::json logprobs_json(const Completion& completion) {
  auto list = nlohmann::json::array();
  for (const TokenRecord& record : completion.logprobs) {
    auto top = nlohmann::json::array();
    for (const TokenLogProb& other : record.top) top.push_back({other.id, other.logprob});
    list.push_back({{"id", record.id}, {"logprob", record.logprob}, {"top", std::move(top)}});
  }
  return list;
}

nlohmann::json completion_json(const Completion& completion) {
  nlohmann::json json = {
      {"text", completion.text}, {"ids", completion.ids}, {"stop_reason", stop_reason_name(completion.reason)}};
  if (!completion.logprobs.empty()) json["logprobs"] = logprobs_json(completion);
  return json;
}

std::string_view why_ended(StopReason reason) {
  switch (reason) {
    case StopReason::kMaxTokens:
      return "; ended by --max-tokens";
    case StopReason::kContextFull:
      return "; the context is full";
    case StopReason::kCancelled:
      return "; stopped";
    default:
      return "";
  }
}

}  // namespace

Result<Generation> answer(Engine& engine, std::span<const int32_t> prompt, GenerateOptions options) {
  options.cancelled = InterruptScope::interrupted;
  return engine.generate(prompt, options);
}

Result<Generation> answer_on_screen(Engine& engine, const Context& context, std::span<const int32_t> prompt,
                                    GenerateOptions options) {
  options.cancelled = InterruptScope::interrupted;
  if (options.n > 1) {
    QUERN_TRY(auto generation, answer(engine, prompt, options));
    for (size_t i = 0; i < generation.completions.size(); ++i) {
      context.print(fmt::format("{}--- {} ---\n{}\n", i == 0 ? "" : "\n", i + 1, generation.completions[i].text));
    }
    return generation;
  }
  QUERN_TRY(auto generation, engine.generate(prompt, options, [&](const TokenEvent& event) {
    context.print(event.text);
    return std::fflush(stdout) == 0;
  }));
  const std::string& text = generation.completions[0].text;
  if (text.empty() || text.back() != '\n') context.print("\n");
  std::fflush(stdout);
  return generation;
}

Speed speed_of(const Engine& engine, const Generation& generation) {
  const GenerateStats& stats = generation.stats;
  const auto n = static_cast<unsigned>(generation.completions.size());
  Speed speed{.tps = stats.generate_tps(n)};
  if (speed.tps == 0) return speed;
  const auto limits = machine_limits(engine.info().isa, engine.info().n_threads);
  if (!limits) return speed;
  // The steps that were timed: samples grow side by side, the first token of each came with the prompt.
  const size_t steps = std::max<size_t>(1, stats.generated_tokens / n - 1);
  speed.limit_tps =
      decode_limit_tps(engine, *limits, {.n_tokens = steps, .n_sequences = n, .depth = stats.prompt_tokens});
  return speed;
}

std::string figures_line(const Engine& engine, const Generation& generation) {
  const GenerateStats& stats = generation.stats;
  const Speed speed = speed_of(engine, generation);
  std::string line = fmt::format("{} tokens", stats.generated_tokens);
  if (speed.tps > 0) line += fmt::format(", {:.1f} tok/s", speed.tps);
  if (speed.limit_tps > 0) {
    line += fmt::format(" ({:.0f} % of the {:.0f} that memory allows)", 100 * speed.share(), speed.limit_tps);
  }
  line += fmt::format(", first token {:.2f} s, prompt {} tok", stats.first_token_seconds,
                      stats.prompt_tokens - stats.cached_tokens);
  if (stats.prompt_seconds > 0) line += fmt::format(" at {:.0f} tok/s", stats.prompt_tps());
  if (stats.cached_tokens > 0) line += fmt::format(" ({} more were known)", stats.cached_tokens);
  return line + std::string(why_ended(generation.completions[0].reason));
}

nlohmann::json to_json(const Engine& engine, const Generation& generation) {
  const GenerateStats& stats = generation.stats;
  // Before the limits, which are measured where they are not known yet, in memory of their own.
  const uint64_t peak = read_memory().peak_resident.value_or(0);
  const Speed speed = speed_of(engine, generation);
  const Completion& first = generation.completions[0];
  nlohmann::json json = completion_json(first);
  json.erase("stop_reason");
  json["stats"] = {{"load_s", engine.info().load_seconds},
                   {"ttft_s", stats.first_token_seconds},
                   {"prompt_tokens", stats.prompt_tokens},
                   {"prompt_tps", stats.prompt_tps()},
                   {"gen_tokens", stats.generated_tokens},
                   {"gen_tps", speed.tps},
                   {"limit_tps", speed.limit_tps},
                   {"limit_share", speed.share()},
                   {"peak_rss_bytes", peak},
                   {"weight_bytes", engine.info().weight_bytes},
                   {"weights", engine.info().weights},
                   {"kv_bytes_per_token", engine.info().kv_bytes_per_token},
                   {"isa", engine.info().isa},
                   {"threads", engine.info().n_threads},
                   {"stop_reason", stop_reason_name(first.reason)}};
  if (generation.completions.size() > 1) {
    auto samples = nlohmann::json::array();
    for (const Completion& completion : generation.completions) samples.push_back(completion_json(completion));
    json["samples"] = std::move(samples);
  }
  return json;
}

}  // namespace quern::cli
