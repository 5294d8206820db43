#include "engine/step_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace quern {
namespace {

constexpr double kWeight = 0.2;   // of a new measurement
constexpr double kTrusted = 1.3;  // a measurement counts as at most so many times the average, and at least its inverse
constexpr double kMeanShare = 0.8;  // of the target: steps scatter, and the target is for their 99th percentile

constexpr double kLoneToken = 1.5;  // times the token of a chunk: what a step with a single one takes more

// 1, 2, 3-4, 5-8, ...: bucket b ends at 2^b.
size_t bucket_of(size_t n) {
  return static_cast<size_t>(std::bit_width(std::max<size_t>(1, n) - 1));
}

double last_of(size_t bucket) {
  return std::ldexp(1.0, static_cast<int>(bucket));
}

}  // namespace

void StepCost::Average::add(double value) {
  ++n;
  if (n == 1) {
    seconds = value;
    return;
  }
  // The first ones are averaged evenly, and not trusted more than the later ones: a first step is often a slow one.
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(n));
  seconds += weight * (std::clamp(value, seconds / kTrusted, seconds * kTrusted) - seconds);
}

void StepCost::record(size_t n_decode, size_t n_prompt, double seconds) {
  if (!(seconds > 0) || !std::isfinite(seconds)) return;
  if (n_decode == 0) {
    if (n_prompt > 0) record_prompt(n_prompt, seconds);
    return;
  }
  if (n_prompt == 0) return record_decode(n_decode, seconds);
  const double decode = decode_seconds(n_decode);
  if (n_prompt == 1) {
    // Decoding alone, by what a token is known to cost beside it; rather too little, since the budget doubles it.
    // Before that is known the token is taken for one more decoder.
    const double token = token_seconds(0);
    const double n = static_cast<double>(n_decode);
    return record_decode(n_decode,
                         token > 0 ? std::max(seconds - kLoneToken * token, seconds / 2) : seconds * n / (n + 1));
  }
  ++mixed_steps_;
  // A step that took less than decoding alone should says only that the tokens were cheap.
  if (decode > 0) record_prompt(n_prompt, std::max(seconds - decode, 0.05 * seconds));
}

void StepCost::record_decode(size_t n_decode, double seconds) {
  mixed_steps_ = 0;
  decode_[std::min(bucket_of(n_decode), kBuckets - 1)].add(seconds);
}

void StepCost::record_prompt(size_t n_prompt, double seconds) {
  const size_t bucket = std::min(bucket_of(n_prompt), kBuckets - 1);
  Average& average = token_[bucket];
  const double before = token_seconds(bucket);
  if (average.n == 0 && before > 0) average = {before, 2};
  average.add(seconds / static_cast<double>(n_prompt));
  // Depth makes tokens dearer in chunks of all sizes alike, also in those that this prompt does not come in. And a
  // token in a larger chunk never costs more than one in a smaller: a wrong estimate would never be tried again.
  const double change = before > 0 ? average.seconds / before : 1;
  for (size_t b = 0; b < kBuckets; ++b) {
    if (b == bucket || token_[b].n == 0) continue;
    token_[b].seconds *= change;
    if (b > bucket) token_[b].seconds = std::min(token_[b].seconds, average.seconds);
    if (b < bucket) token_[b].seconds = std::max(token_[b].seconds, average.seconds);
  }
}

// Between two buckets on the line through both, above the last measured one the same as there (too little rather than
// too much), below the first one less by up to a half: weights are read once for all decoders.
double StepCost::decode_seconds(size_t n_decode) const {
  if (n_decode == 0) return 0;
  const size_t bucket = std::min(bucket_of(n_decode), kBuckets - 1);
  if (decode_[bucket].n > 0) return decode_[bucket].seconds;
  size_t below = bucket, above = bucket;
  while (below > 0 && decode_[below].n == 0) --below;
  while (above < kBuckets - 1 && decode_[above].n == 0) ++above;
  const bool has_below = decode_[below].n > 0, has_above = decode_[above].n > 0;
  const double n = static_cast<double>(n_decode);
  if (has_below && has_above) {
    const double share = (n - last_of(below)) / (last_of(above) - last_of(below));
    return decode_[below].seconds + share * (decode_[above].seconds - decode_[below].seconds);
  }
  if (has_below) return decode_[below].seconds;
  if (has_above) return decode_[above].seconds * (1 + n / last_of(above)) / 2;
  return 0;
}

// From the nearest smaller bucket, where a token costs at least as much, else from the nearest larger.
double StepCost::token_seconds(size_t bucket) const {
  for (size_t b = bucket + 1; b-- > 0;) {
    if (token_[b].n > 0) return token_[b].seconds;
  }
  for (size_t b = bucket + 1; b < kBuckets; ++b) {
    if (token_[b].n > 0) return token_[b].seconds;
  }
  return 0;
}

double StepCost::prompt_seconds(size_t n_prompt) const {
  return static_cast<double>(n_prompt) * token_seconds(std::min(bucket_of(n_prompt), kBuckets - 1));
}

double StepCost::short_stall_seconds(size_t n_decode) const {
  const double decode = decode_seconds(n_decode);
  return std::max(2 * decode, std::min(8 * decode, 0.1));
}

size_t StepCost::prompt_budget(size_t n_decode, double stall_seconds, size_t max_tokens) const {
  max_tokens = std::max<size_t>(1, max_tokens);
  if (n_decode == 0) return max_tokens;
  const double decode = decode_seconds(n_decode);
  if (mixed_steps_ >= (decode > 0 ? kProbeInterval : 1)) return 1;
  if (decode == 0) return std::min(kUnmeasuredTokens, max_tokens);
  const double room = kMeanShare * (stall_seconds > 0 ? stall_seconds : 2 * decode) - decode;
  size_t best = 1;
  for (size_t b = 0; b < kBuckets && last_of(b) < 2 * static_cast<double>(max_tokens); ++b) {
    const double token = token_seconds(b);
    if (token == 0) return std::min(kUnmeasuredTokens, max_tokens);
    const double fit = std::floor(std::max(0.0, room) / token);
    const double first = b == 0 ? 1 : last_of(b - 1) + 1;
    if (fit < first) continue;
    best = static_cast<size_t>(std::min({fit, last_of(b), static_cast<double>(max_tokens)}));
  }
  return best;
}

}  // namespace quern
