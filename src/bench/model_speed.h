// How fast a model reads prompts and generates, beside the limits of bench/limits.h.
//
// A row is measured by itself: one warm-up, `repeats` runs, the median and the standard deviation of their rates. Runs
// are forwards over made-up tokens (Engine::time_forward), without sampling; positions before the depth are really
// computed once, so that their keys and values lie in memory. The engine is used by the calling thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "quern/quern.h"

namespace quern {

struct BenchPlan {
  std::vector<uint32_t> n_prompt, n_gen;  // 0 gives no row
  std::vector<uint32_t> depths;           // tokens before them
  std::vector<uint32_t> batches;          // sequences side by side
  std::vector<uint32_t> threads;          // no more than the engine was loaded with
  unsigned repeats = 1;
  bool limits_now = false;  // measured before each row, none kept; else as machine_limits keeps them
};

struct BenchRow {
  size_t n_prompt = 0, n_gen = 0;  // one of them is 0
  size_t depth = 0, batch = 1;
  MachineLimits limits;          // that limit_tps comes from, and the threads
  double tokens_per_second = 0;  // of all sequences
  double stddev = 0;
  double limit_tps = 0;
  Profile profile;  // of the runs that were measured, where the engine makes one
  [[nodiscard]] double limit_share() const { return tokens_per_second / limit_tps; }
};

struct BenchMonitor {
  std::function<void(const BenchRow&)> row;                 // each as it is measured
  std::function<void(size_t done, size_t total)> progress;  // in runs
  std::function<bool()> cancelled;
};

// kTooLong when depth and tokens do not fit the context, kCancelled.
Result<std::vector<BenchRow>> bench_model(Engine& engine, const BenchPlan& plan, const BenchMonitor& monitor);

// A hash (64-bit FNV-1a) of the logits after a fixed prompt: it changes when the numerics do.
Result<std::string> logits_hash(Engine& engine);

}  // namespace quern
