#include "server/openai/sampling_members.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <type_traits>

#include "sample/options.h"

namespace quern::server {

namespace {

// Fields with a declaration of their own, or set by what each endpoint calls logprobs.
constexpr std::array<std::string_view, 6> kOwn = {"temperature",       "top_p", "presence_penalty",
                                                  "frequency_penalty", "seed",  "logprobs"};
constexpr double kMaxBias = 100, kMaxPenalty = 2, kMaxTemperature = 2;

constexpr const char* kBiasSchema = R"({"type": "object", "propertyNames": {"pattern": "^[0-9]+$"},
  "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}})";

}  // namespace

SamplingOptions SamplingMembers::neutral() {
  SamplingOptions o;
  o.top_k = 0;
  o.min_p = 0;
  return o;
}

void SamplingMembers::fields(FieldVisitor& v) {
  v.member({"temperature", "0 takes the likeliest token", {.min = 0, .max = kMaxTemperature}}, temperature);
  v.member({"top_p", "Keeps the likeliest tokens that together reach this probability", {.min = 0, .max = 1}}, top_p);
  v.member({"presence_penalty", "Taken once from tokens that occurred", {.min = -kMaxPenalty, .max = kMaxPenalty}},
           presence_penalty);
  v.member(
      {"frequency_penalty", "Taken from tokens as often as they occurred", {.min = -kMaxPenalty, .max = kMaxPenalty}},
      frequency_penalty);
  v.member({"seed", "The same seed gives the same text; by default one by chance, told in `quern.seed`"}, seed);
  v.member({"logit_bias", "By token id, what is added to its logit"}, logit_bias, kBiasSchema);
  visit_sampling_options(more, [&]<class T>(const OptionInfo& info, T& field) {
    if (std::find(kOwn.begin(), kOwn.end(), info.name) != kOwn.end()) return;
    const MemberInfo member{info.name, info.help, {.min = info.min, .max = info.max}};
    using Wide = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
    auto value = static_cast<Wide>(field);
    v.member(member, value);
    field = static_cast<T>(value);  // within bounds, or as it was
  });
}

std::optional<BodyError> SamplingMembers::take(size_t n_vocab, SamplingOptions& to) const {
  to = more;
  to.temperature = static_cast<float>(temperature);
  to.top_p = static_cast<float>(top_p);
  to.presence_penalty = static_cast<float>(presence_penalty);
  to.frequency_penalty = static_cast<float>(frequency_penalty);
  to.seed = seed ? static_cast<uint64_t>(*seed) : std::random_device{}();
  if (logit_bias.is_null()) return std::nullopt;
  for (const auto& [key, value] : logit_bias.items()) {
    LogitBias bias;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bias.id);
    const bool is_id = error == std::errc{} && end == key.data() + key.size() && bias.id >= 0 &&
                       static_cast<size_t>(bias.id) < n_vocab;
    if (!is_id) {
      return BodyError{"logit_bias",
                       fmt::format("'logit_bias' names '{}', expected token ids from 0 to {}", key, n_vocab - 1)};
    }
    if (!value.is_number() || !(std::abs(value.get<double>()) <= kMaxBias)) {
      return BodyError{"logit_bias", fmt::format("'logit_bias' of token {} must be a number from -100 to 100", key)};
    }
    bias.bias = value.get<float>();
    to.logit_bias.push_back(bias);
  }
  return std::nullopt;
}

}  // namespace quern::server
