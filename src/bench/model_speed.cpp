#include "bench/model_speed.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "bench/statistics.h"

namespace quern {

namespace {

class ModelBench {
 public:
  ModelBench(Engine& engine, const BenchPlan& plan, const BenchMonitor& monitor)
      : engine_(engine), plan_(plan), monitor_(monitor) {}

  Result<std::vector<BenchRow>> run() {
    QUERN_CHECK_OK(check());
    const size_t kinds = nonzero(plan_.n_prompt) + nonzero(plan_.n_gen);
    total_ = plan_.batches.size() * plan_.depths.size() * plan_.threads.size() * kinds * (plan_.repeats + 1);
    for (const uint32_t threads : plan_.threads) {
      if (plan_.limits_now) {
        limits_.push_back({.isa = engine_.info().isa, .threads = threads});
      } else {
        QUERN_TRY(limits_.emplace_back(), machine_limits(engine_.info().isa, threads));
      }
    }
    for (const uint32_t batch : plan_.batches) {
      size_t filled = 0;
      for (const uint32_t depth : plan_.depths) {
        if (depth > filled) QUERN_CHECK_OK(fill(batch, filled, depth));
        filled = std::max<size_t>(filled, depth);
        for (const MachineLimits& limits : limits_) QUERN_CHECK_OK(measure_all(batch, depth, limits));
      }
    }
    return std::move(rows_);
  }

 private:
  static size_t nonzero(const std::vector<uint32_t>& counts) {
    return static_cast<size_t>(std::count_if(counts.begin(), counts.end(), [](uint32_t n) { return n != 0; }));
  }

  Status check() const {
    uint32_t tokens = 0, depth = 0;
    for (const uint32_t n : plan_.n_prompt) tokens = std::max(tokens, n);
    for (const uint32_t n : plan_.n_gen) tokens = std::max(tokens, n);
    for (const uint32_t d : plan_.depths) depth = std::max(depth, d);
    const size_t needed = size_t{depth} + tokens;
    if (needed <= engine_.info().n_ctx) return {};
    return fail_f(ErrorCode::kTooLong, "{} tokens at a depth of {} need a context of {}, it holds {}", tokens, depth,
                  needed, engine_.info().n_ctx);
  }

  Status fill(size_t batch, size_t from, size_t to) {
    engine_.set_threads(*std::max_element(plan_.threads.begin(), plan_.threads.end()),
                        *std::max_element(plan_.threads.begin(), plan_.threads.end()));
    // In parts, so that an interrupt is heeded.
    constexpr size_t kPart = 512;
    for (size_t at = from; at < to; at += kPart) {
      QUERN_CHECK_OK(step());
      const ForwardShape shape{.n_tokens = std::min(kPart, to - at), .n_sequences = batch, .depth = at};
      QUERN_CHECK_OK(engine_.time_forward(shape));
    }
    return {};
  }

  Status measure_all(size_t batch, size_t depth, const MachineLimits& limits) {
    engine_.set_threads(limits.threads, limits.threads);
    for (const uint32_t n : plan_.n_prompt) {
      const ForwardShape shape{.n_tokens = n, .n_sequences = batch, .depth = depth};
      if (n != 0) QUERN_CHECK_OK(measure(shape, /*decode=*/false, limits));
    }
    for (const uint32_t n : plan_.n_gen) {
      const ForwardShape shape{.n_tokens = n, .n_sequences = batch, .depth = depth};
      if (n != 0) QUERN_CHECK_OK(measure(shape, /*decode=*/true, limits));
    }
    return {};
  }

  Status measure(const ForwardShape& shape, bool decode, MachineLimits limits) {
    if (plan_.limits_now) {
      QUERN_TRY(limits, machine_limits(limits.isa, limits.threads, LimitsFrom::kNow));
    }
    std::vector<double> rates;
    for (unsigned i = 0; i <= plan_.repeats; ++i) {
      if (i == 1) (void)engine_.take_profile();  // of what came before
      QUERN_TRY(const double seconds, decode ? time_decode(shape) : time_prompt(shape));
      if (i > 0) rates.push_back(static_cast<double>(shape.n_tokens * shape.n_sequences) / seconds);
      if (monitor_.progress) monitor_.progress(++done_, total_);
    }
    BenchRow row{
        .n_prompt = decode ? 0 : shape.n_tokens,
        .n_gen = decode ? shape.n_tokens : 0,
        .depth = shape.depth,
        .batch = shape.n_sequences,
        .limits = limits,
        .tokens_per_second = median(rates),
        .stddev = standard_deviation(rates),
        .limit_tps = decode ? decode_limit_tps(engine_, limits, shape) : prefill_limit_tps(engine_, limits, shape),
        .profile = engine_.take_profile()};
    if (monitor_.row) monitor_.row(row);
    rows_.push_back(row);
    return {};
  }

  Result<double> time_prompt(const ForwardShape& shape) {
    QUERN_CHECK_OK(step());
    return engine_.time_forward(shape);
  }

  // One token of each sequence at a time, as generating does it.
  Result<double> time_decode(const ForwardShape& shape) {
    double seconds = 0;
    for (size_t i = 0; i < shape.n_tokens; ++i) {
      QUERN_CHECK_OK(step());
      const ForwardShape one{.n_tokens = 1, .n_sequences = shape.n_sequences, .depth = shape.depth + i};
      QUERN_TRY(const double s, engine_.time_forward(one));
      seconds += s;
    }
    return seconds;
  }

  Status step() const {
    if (monitor_.cancelled && monitor_.cancelled()) return fail(ErrorCode::kCancelled, "stopped");
    return {};
  }

  Engine& engine_;
  const BenchPlan& plan_;
  const BenchMonitor& monitor_;
  std::vector<MachineLimits> limits_;  // of plan_.threads
  std::vector<BenchRow> rows_;
  size_t done_ = 0, total_ = 0;
};

}  // namespace

Result<std::vector<BenchRow>> bench_model(Engine& engine, const BenchPlan& plan, const BenchMonitor& monitor) {
  return ModelBench(engine, plan, monitor).run();
}

Result<std::string> logits_hash(Engine& engine) {
  constexpr size_t kTokens = 32;
  std::vector<int32_t> ids(std::min(kTokens, engine.info().n_ctx));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 7919 + 13) % engine.info().n_vocab);
  QUERN_TRY(const std::vector<float> logits, engine.logits(ids));
  uint64_t hash = 0xcbf29ce484222325;
  for (const float value : logits) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int byte = 0; byte < 4; ++byte) hash = (hash ^ (bits >> (8 * byte) & 0xff)) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace quern
