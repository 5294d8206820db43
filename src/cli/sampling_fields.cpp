#include "cli/sampling_fields.h"

#include <charconv>
#include <cmath>
#include <map>

#include "sample/options.h"

namespace quern::cli {

namespace {

// "top_k" is --top-k; the two that llama.cpp's users know by a shorter name have both.
std::string flag_of(std::string_view name) {
  std::string flag = "--" + std::string(name);
  for (char& c : flag) c = c == '_' ? '-' : c;
  if (name == "temperature") flag += ",--temp";
  if (name == "typical_p") flag += ",--typical";
  return flag;
}

// Fields hold views: each flag is made once and kept.
std::string_view kept_flag(std::string_view name) {
  static std::map<std::string_view, std::string> flags;
  const auto [at, fresh] = flags.try_emplace(name);
  if (fresh) at->second = flag_of(name);
  return at->second;
}

Result<LogitBias> read_bias(const std::string& text) {
  LogitBias bias;
  const char* end = text.data() + text.size();
  auto [sign, error] = std::from_chars(text.data(), end, bias.id);
  const bool has_sign = error == std::errc{} && sign != end && (*sign == '+' || *sign == '-');
  if (has_sign) {
    const auto [stop, wrong] = std::from_chars(sign + 1, end, bias.bias);
    if (wrong == std::errc{} && stop == end && bias.id >= 0 && !std::isnan(bias.bias) && !std::signbit(bias.bias)) {
      if (*sign == '-') bias.bias = -bias.bias;
      return bias;
    }
  }
  return fail_f(ErrorCode::kInvalidArgument,
                "--logit-bias wants ID+BIAS or ID-BIAS, such as 42+1.5 or 42-inf, not '{}'", text);
}

}  // namespace

void add_sampling_fields(SamplingOptions& options, SamplingTexts& texts, std::vector<Field>& to) {
  visit_sampling_options(options, [&](const OptionInfo& info, auto& field) {
    to.push_back({kept_flag(info.name), &field, info.help, {.min = info.min, .max = info.max}});
  });
  to.push_back(
      {"--logit-bias", &texts.logit_bias, "ID+BIAS or ID-BIAS, added to that token's logit; ID-inf forbids it"});
  to.push_back({"--dry-sequence-breaker", &texts.dry_breakers, "text at which DRY stops to look for repeats"});
}

Status apply_texts(const SamplingTexts& texts, SamplingOptions& options) {
  for (const std::string& text : texts.logit_bias) {
    QUERN_TRY(const LogitBias bias, read_bias(text));
    options.logit_bias.push_back(bias);
  }
  if (!texts.dry_breakers.empty()) options.dry_sequence_breakers = texts.dry_breakers;
  return {};
}

}  // namespace quern::cli
