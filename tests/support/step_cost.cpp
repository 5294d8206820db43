// step_cost MODEL [SEQUENCES]: what a mixed step costs beside its parts: so many sequences decoding one token each, a
// prompt's chunk, and both in one forward; medians. Not part of any test: figures belong to the machine.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/runner.h"

namespace {

using namespace quern;

constexpr size_t kDepth = 64;              // of each sequence
constexpr int kWarmUp = 3, kRepeats = 15;  // tiles settle within the first forwards

struct Sequences {
  std::vector<PageTable> tables;  // the last one reads the prompt
  std::vector<int32_t> prompt;
};

// A forward over the first `decoding` sequences and `chunk` tokens of the prompt, in seconds.
Result<double> step_seconds(Runner& runner, Sequences& s, size_t decoding, size_t chunk) {
  std::vector<RunnerInput> inputs;
  const std::span<const int32_t> prompt(s.prompt);
  for (size_t i = 0; i < decoding; ++i) {
    inputs.push_back({.ids = prompt.first(1), .first_position = kDepth, .pages = &s.tables[i], .want_logits = true});
  }
  if (chunk > 0) inputs.push_back({.ids = prompt.first(chunk), .first_position = 0, .pages = &s.tables.back()});
  const double start = now_s();
  QUERN_CHECK_OK(runner.forward(inputs));
  return now_s() - start;
}

double median(std::vector<double>& v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

// The three in turn, so that a change of the machine's mood meets all.
Status print_row(Runner& runner, Sequences& s, size_t decoding, size_t chunk) {
  std::vector<double> decode, prompt, mixed;
  for (int i = 0; i < kWarmUp + kRepeats; ++i) {
    QUERN_TRY(const double d, step_seconds(runner, s, decoding, 0));
    QUERN_TRY(const double p, step_seconds(runner, s, 0, chunk));
    QUERN_TRY(const double m, step_seconds(runner, s, decoding, chunk));
    if (i < kWarmUp) continue;
    decode.push_back(d);
    prompt.push_back(p);
    mixed.push_back(m);
  }
  const double d = median(decode), p = median(prompt), m = median(mixed);
  fmt::print("{:>5} {:>10.2f} {:>8.2f} {:>13.2f} {:>16.2f}\n", chunk, 1e3 * d, 1e3 * p, 1e3 * m, m / (d + p));
  return {};
}

Status run(const char* model, size_t decoding) {
  QUERN_TRY(auto runner, Runner::create({.model_path = model, .n_ctx = 2048, .n_batch = 600, .n_parallel = 32}));
  Sequences s;
  for (size_t i = 0; i <= decoding; ++i) s.tables.emplace_back(runner->kv().pool());
  for (size_t i = 0; i < 512; ++i) s.prompt.push_back(static_cast<int32_t>(100 + 7 * i));
  const std::span<const int32_t> before(s.prompt.data(), kDepth);
  for (size_t i = 0; i < decoding; ++i) {
    const RunnerInput input{.ids = before, .first_position = 0, .pages = &s.tables[i]};
    QUERN_CHECK_OK(runner->forward({&input, 1}));
  }
  fmt::print("{} sequences, {} threads, {}; milliseconds a step\n", decoding, runner->threads(),
             runner->backend_info().detail);
  fmt::print("chunk   decoding   prompt   both in one   beside the sum\n");
  for (const size_t chunk : {16u, 64u, 128u, 256u, 504u}) QUERN_CHECK_OK(print_row(*runner, s, decoding, chunk));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  size_t decoding = 8;
  const std::string_view count = argc > 2 ? argv[2] : "8";
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), decoding);
  if (argc < 2 || error != std::errc() || end != count.data() + count.size() || decoding < 1 || decoding > 31) {
    fmt::print(stderr, "usage: step_cost MODEL [SEQUENCES, 1 to 31]\n");
    return 2;
  }
  const Status status = run(argv[1], decoding);
  if (status) return 0;
  fmt::print(stderr, "step_cost: {}\n", status.error().message);
  return 1;
}
