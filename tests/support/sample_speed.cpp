// sample_speed: what choosing a token costs for a vocabulary of 262,144, the median of repeated calls. Prints one line
// for each set of options. Not part of any test: figures belong to the machine.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "sample/sampler.h"

namespace {

constexpr size_t kVocab = 262144;
constexpr int kRepeats = 101;

int measure(const char* name, const quern::SamplingOptions& options, const std::vector<float>& logits) {
  auto sampler =
      quern::Sampler::make(options, {.n_vocab = kVocab, .n_ctx = 4096, .sample_index = 0, .dry_breakers = {}});
  if (!sampler) {
    fmt::print(stderr, "{}\n", sampler.error().message);
    return 1;
  }
  for (int32_t i = 0; i < 2000; ++i) sampler->accept(i * 7919 % 1000);
  std::vector<double> times;
  for (int i = 0; i < kRepeats; ++i) {
    const double start = quern::now_s();
    const auto token = sampler->sample(logits, static_cast<uint64_t>(i));
    times.push_back(quern::now_s() - start);
    if (!token) return 1;
  }
  std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
  fmt::print("{:32} {:7.3f} ms\n", name, times[kRepeats / 2] * 1e3);
  return 0;
}

}  // namespace

int main() {
#ifndef __OPTIMIZE__
  fmt::print(stderr, "sample_speed: this is a build without optimization, its figures mean nothing\n");
  return 1;
#endif
  quern::SplitMix64 rng(1);
  std::vector<float> logits(kVocab);
  // Sums of four uniforms: near to normal, as a model's logits are.
  for (float& x : logits) x = 3 * (rng.next_float() + rng.next_float() + rng.next_float() + rng.next_float());
  quern::SamplingOptions greedy;
  greedy.temperature = 0;
  quern::SamplingOptions top_p;
  top_p.top_k = 0;
  top_p.min_p = 0;
  quern::SamplingOptions plain = top_p;
  plain.top_p = 1;
  quern::SamplingOptions penalized;
  penalized.repeat_penalty = 1.1f;
  penalized.dry_multiplier = 0.8f;
  quern::SamplingOptions logprobs;
  logprobs.logprobs = 5;
  quern::SamplingOptions typical = plain;
  typical.typical_p = 0.5f;
  return measure("greedy", greedy, logits) + measure("top_k 40, top_p, min_p, temp", {}, logits) +
         measure("the same, penalties and DRY", penalized, logits) + measure("the same, 5 logprobs", logprobs, logits) +
         measure("top_p, temp", top_p, logits) + measure("temp", plain, logits) +
         measure("typical_p, temp", typical, logits);
}
