#include "sample/options.h"

#include <cmath>
#include <iterator>

namespace quern {

Status validate(const SamplingOptions& options) {
  std::string problems;
  const auto add = [&problems]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
    if (!problems.empty()) problems += "; ";
    fmt::format_to(std::back_inserter(problems), format, std::forward<Args>(args)...);
  };
  visit_sampling_options(options, [&add](const OptionInfo& info, auto value) {
    const double v = static_cast<double>(value);
    if (!(v >= info.min && v <= info.max)) {  // so that NaN is refused
      add("{} is {}, it must be from {} to {}", info.name, value, info.min, info.max);
    }
  });
  for (const LogitBias& b : options.logit_bias) {
    if (b.id < 0) add("logit_bias names token {}, ids start at 0", b.id);
    if (!(b.bias < INFINITY)) add("logit_bias of token {} is {}, it must be finite or -infinity", b.id, b.bias);
  }
  for (const std::string& breaker : options.dry_sequence_breakers) {
    if (breaker.empty()) add("dry_sequence_breakers has an empty string");
  }
  if (problems.empty()) return {};
  return fail_f(ErrorCode::kInvalidArgument, "sampling options: {}", problems);
}

}  // namespace quern
