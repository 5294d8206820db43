// sample_speed: what choosing a token costs for a vocabulary of 262,144, the median of repeated calls, one row a set of
// options, one column a set of logits. Not part of any test: figures belong to the machine.
//
// sample_speed [FILE]: FILE holds 262,144 float32 logits of a model, little-endian, as the column "file".
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "sample/sampler.h"

namespace {

constexpr size_t kVocab = 262144;
constexpr int kRepeats = 41;

struct Setting {
  const char* name;
  quern::SamplingOptions options;
};

struct Column {
  const char* name;
  std::vector<float> logits;
};

std::vector<Setting> settings() {
  std::vector<Setting> list;
  const quern::SamplingOptions defaults;
  const auto add = [&](const char* name, quern::SamplingOptions options, auto change) {
    change(options);
    list.push_back({name, std::move(options)});
  };
  quern::SamplingOptions off = defaults;
  off.top_k = 0;
  off.top_p = 1;
  off.min_p = 0;
  using Options = quern::SamplingOptions;
  add("greedy", defaults, [](Options& o) { o.temperature = 0; });
  add("defaults", defaults, [](Options&) {});
  add("defaults, penalties, 100 biases", defaults, [](Options& o) {
    o.repeat_penalty = 1.1f;
    for (int32_t i = 0; i < 100; ++i) o.logit_bias.push_back({i * 2503, -1.0f});
  });
  add("the same and DRY", list.back().options, [](Options& o) { o.dry_multiplier = 0.8f; });
  add("defaults, 5 logprobs", defaults, [](Options& o) { o.logprobs = 5; });
  add("temperature alone", off, [](Options&) {});
  add("top_p 0.95", off, [](Options& o) { o.top_p = 0.95f; });
  add("min_p 0.05", off, [](Options& o) { o.min_p = 0.05f; });
  add("typical_p 0.5", off, [](Options& o) { o.typical_p = 0.5f; });
  add("top_k 40", off, [](Options& o) { o.top_k = 40; });
  return list;
}

// The median time of a call in microseconds, or a negative number when it fails.
double measure(const quern::SamplingOptions& options, const std::vector<float>& logits) {
  auto sampler =
      quern::Sampler::make(options, {.n_vocab = kVocab, .n_ctx = 4096, .sample_index = 0, .dry_breakers = {}});
  if (!sampler) return -1;
  for (int32_t i = 0; i < 2000; ++i) sampler->accept(i * 7919 % 1000);
  std::vector<double> times;
  for (int i = 0; i < kRepeats; ++i) {
    const double start = quern::now_s();
    const auto token = sampler->sample(logits, static_cast<uint64_t>(i));
    times.push_back(quern::now_s() - start);
    if (!token) return -1;
  }
  std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
  return times[kRepeats / 2] * 1e6;
}

// `scale` 3: near to normal, as a model's logits are, with a long tail. 0.1: flat, nearly every token is kept.
std::vector<float> made_up(float scale) {
  quern::SplitMix64 rng(1);
  std::vector<float> logits(kVocab);
  for (float& x : logits) x = scale * (rng.next_float() + rng.next_float() + rng.next_float() + rng.next_float());
  return logits;
}

}  // namespace

int main(int argc, char** argv) {
#ifndef __OPTIMIZE__
  fmt::print(stderr, "sample_speed: this is a build without optimization, its figures mean nothing\n");
  return 1;
#endif
  std::vector<Column> columns;
  if (argc > 1) {
    std::vector<float> logits(kVocab);
    std::FILE* file = std::fopen(argv[1], "rb");
    const bool whole = file != nullptr && std::fread(logits.data(), sizeof(float), kVocab, file) == kVocab;
    if (file != nullptr) std::fclose(file);
    if (!whole) {
      fmt::print(stderr, "sample_speed: {} does not hold {} floats\n", argv[1], kVocab);
      return 1;
    }
    columns.push_back({"file", std::move(logits)});
  }
  columns.push_back({"normal", made_up(3)});
  columns.push_back({"flat", made_up(0.1f)});
  fmt::print("{:34}", "microseconds");
  for (const Column& column : columns) fmt::print("{:>9}", column.name);
  fmt::print("\n");
  for (const Setting& setting : settings()) {
    fmt::print("{:34}", setting.name);
    for (const Column& column : columns) {
      const double us = measure(setting.options, column.logits);
      if (us < 0) return 1;
      fmt::print("{:9.0f}", us);
    }
    fmt::print("\n");
  }
  return 0;
}
