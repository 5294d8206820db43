// One answer of a model on standard output, as it comes, and the figures of how fast it came.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/interrupt.h"
#include "quern/quern.h"

namespace quern::cli {

// Generates, printing text as soon as it is whole; with several samples, each at the end. An interrupt ends the answer
// with StopReason::kCancelled.
Result<Generation> answer_on_screen(Engine& engine, const Context& context, std::span<const int32_t> prompt,
                                    GenerateOptions options);
// Generates in silence.
Result<Generation> answer(Engine& engine, std::span<const int32_t> prompt, GenerateOptions options);

// Tokens per second of the answer beside what this machine's memory allows.
struct Speed {
  double tps = 0;        // 0: a single token, whose time is the prompt's
  double limit_tps = 0;  // 0: could not be measured
  [[nodiscard]] double share() const { return limit_tps > 0 ? tps / limit_tps : 0; }
};
Speed speed_of(const Engine& engine, const Generation& generation);

// "23 tokens, 152.3 tok/s (81 % of the 188 that memory allows), first token 0.04 s, prompt 31 tok at 1240 tok/s", and
// why the answer ended where that was not the model's own will.
std::string figures_line(const Engine& engine, const Generation& generation);

// The object of --json: text, ids, stats; samples when there are several, logprobs when they were asked for.
nlohmann::json to_json(const Engine& engine, const Generation& generation);

}  // namespace quern::cli
