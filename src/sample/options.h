// The bounds of SamplingOptions (include/quern/sampling.h), declared once for flags, config keys, docs and validation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quern/sampling.h"

namespace quern {

struct OptionInfo {
  std::string_view name;
  std::string_view help;
  double min;
  double max;
};

// Calls visitor(OptionInfo, field) for each numeric option: flags, config keys, docs and the bounds check come from
// here. `Options` is SamplingOptions or const SamplingOptions.
template <class Options, class Visitor>
void visit_sampling_options(Options& o, Visitor&& visitor) {
  constexpr double kIntMax = 2147483647.0;
  visitor(OptionInfo{"temperature", "flattens (> 1) or sharpens (< 1) the distribution; 0 is greedy", 0, 100},
          o.temperature);
  visitor(OptionInfo{"top_k", "keep the k most likely tokens; 0 or less keeps all", -1, kIntMax}, o.top_k);
  visitor(OptionInfo{"top_p", "keep the most likely tokens that together reach this probability; 1 keeps all", 0, 1},
          o.top_p);
  visitor(OptionInfo{"min_p", "keep tokens at least this likely relative to the most likely; 0 keeps all", 0, 1},
          o.min_p);
  visitor(
      OptionInfo{"typical_p", "keep the most typical tokens that together exceed this probability; 1 keeps all", 0, 1},
      o.typical_p);
  visitor(
      OptionInfo{"repeat_penalty", "divides (negative: multiplies) the logits of recent tokens; 1 is off", 0.01, 100},
      o.repeat_penalty);
  visitor(OptionInfo{"repeat_last_n", "how many recent tokens the penalties look at; 0 is off, -1 the context", -1,
                     kIntMax},
          o.repeat_last_n);
  visitor(OptionInfo{"presence_penalty", "taken once from the logit of each recent token; 0 is off", -100, 100},
          o.presence_penalty);
  visitor(
      OptionInfo{"frequency_penalty", "taken from a recent token's logit for each time it occurs; 0 is off", -100, 100},
      o.frequency_penalty);
  visitor(OptionInfo{"dry_multiplier", "strength of the penalty on continuing a repeat; 0 is off", 0, 100},
          o.dry_multiplier);
  visitor(OptionInfo{"dry_base", "growth of that penalty with each token of the repeat", 1, 100}, o.dry_base);
  visitor(OptionInfo{"dry_allowed_length", "repeats shorter than this are not penalised", 1, kIntMax},
          o.dry_allowed_length);
  visitor(
      OptionInfo{"dry_penalty_last_n", "how many recent tokens DRY looks at; 0 is off, -1 the context", -1, kIntMax},
      o.dry_penalty_last_n);
  visitor(OptionInfo{"seed", "the same seed gives the same text", 0, 18446744073709551615.0}, o.seed);
  visitor(OptionInfo{"logprobs", "report the token's log-probability and this many alternatives; -1 reports none", -1,
                     1000},
          o.logprobs);
}

// Ok, or kInvalidArgument with every problem, each with its name, value and bounds.
[[nodiscard]] Status validate(const SamplingOptions& options);

}  // namespace quern
