// LogitScan: one pass over a vocabulary's logits, and what can be asked of it cheaply: the greatest, the k greatest,
// the sum of exponentials, log-probabilities.
//
// Keeps the maximum of each block of 64 logits. The k-th greatest block maximum is a lower bound of the k-th greatest
// logit, so the k greatest are found by looking into about k blocks, and those near the greatest by looking into the
// blocks that hold one: no sort, and no second pass over the rest. tests/support/sample_speed.cpp measures it,
// docs/performance.md has the figures.
//
// Order is total everywhere: by logit downwards, then by id upwards. Bits do not depend on the machine (base/det_math.h
// and a fixed order of summation). One thread at a time; buffers are reused, nothing is allocated once a call has seen
// the vocabulary. Holds a view of the logits until the next scan().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "quern/sampling.h"

namespace quern {

struct Candidate {
  int32_t id;
  float logit;
  double weight;  // what the stage at hand made of it: exp(logit - max), at the end a probability
};

inline bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

class LogitScan {
 public:
  // kInvalidArgument when there are no logits or more than ids can name, or all are -infinity; kCorrupt with the first
  // offending token when one is NaN or +infinity.
  Status scan(std::span<const float> logits);

  [[nodiscard]] float max() const { return max_; }
  [[nodiscard]] int32_t argmax() const;
  [[nodiscard]] std::span<const float> logits() const { return logits_; }

  // The k likeliest with a finite logit, in order, weights unset. Fewer when there are no more.
  void top(size_t k, std::vector<Candidate>& out);
  // All with a finite logit, by id.
  void all(std::vector<Candidate>& out) const;
  // Those of all() with least <= logit - max <= most.
  void within(double least, double most, std::vector<Candidate>& out) const;

  // Those with logit - max >= least, the difference in float: the others are exp_sum_bounds'. least is above -1000.
  void from(float least, std::vector<Candidate>& out) const;

  // The sum of exp(logit - max) over all.
  [[nodiscard]] double exp_sum() const;
  // Two numbers that the sum over logit - max < below (a difference in float) lies between, some 1e-5 of it and 6e-8
  // apart, in a small part of exp_sum's time. Their bits are as fixed as its own.
  struct Bounds {
    double low, high;
  };
  [[nodiscard]] Bounds exp_sum_bounds(float below) const;
  // The same sum, and that of exp(logit - max) * (logit - max).
  struct Moments {
    double sum, weighted;
  };
  [[nodiscard]] Moments moments() const;

  // The token at which the running sum, by id, of exp((logit - max) * scale) passes u in [0, 1) of the whole, and its
  // part of the whole. The last that is possible at all where rounding leaves the sum below.
  struct Drawn {
    int32_t id;
    double probability;
  };
  [[nodiscard]] Drawn draw(double scale, double u);

 private:
  static constexpr size_t kBlock = 64;

  std::span<const float> logits_;
  float max_ = 0;
  std::vector<float> block_max_;
  std::vector<float> ranked_;
  std::vector<double> block_sum_;
};

// Natural-logarithm probabilities under the softmax of the scanned logits, in double. log_prob is -infinity for a
// forbidden token; `exp_sum` is scan.exp_sum(), handed in so that it is computed once. top_log_probs fills `out` with
// the n likeliest, in order, using `scratch`.
double log_prob(const LogitScan& scan, double exp_sum, int32_t id);
void top_log_probs(LogitScan& scan, double exp_sum, size_t n, std::vector<Candidate>& scratch,
                   std::vector<TokenLogProb>& out);

struct LogProbs {
  std::vector<TokenLogProb> top;  // likeliest first
  double chosen;                  // of the token asked for
};

// The same for one call: the log-probability of `chosen` and the `top_n` likeliest tokens.
Result<LogProbs> log_probs(std::span<const float> logits, size_t top_n, int32_t chosen);

}  // namespace quern
