#include "sample/logit_scan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/det_math.h"

namespace quern {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// The greatest of 64 logits. Lanes of their own, as the compiler may not reorder a running maximum into vectors.
// `bad` becomes non-zero where one is NaN or +infinity.
float block_maximum(const float* z, uint32_t& bad) {
  constexpr size_t kLanes = 16;
  float most[kLanes];
  uint32_t wrong[kLanes] = {};
  for (size_t j = 0; j < kLanes; ++j) most[j] = kNegativeInfinity;
  for (size_t i = 0; i < 64; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float x = z[i + j];
      most[j] = x > most[j] ? x : most[j];
      wrong[j] |= x < std::numeric_limits<float>::infinity() ? 0u : 1u;
    }
  }
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) {
      most[j] = most[j + half] > most[j] ? most[j + half] : most[j];
      wrong[j] |= wrong[j + half];
    }
  }
  bad |= wrong[0];
  return most[0];
}

tl::unexpected<Error> bad_logit(std::span<const float> logits) {
  const auto bad = std::find_if(logits.begin(), logits.end(), [](float x) { return !(x < INFINITY); });
  return fail_f(
      ErrorCode::kCorrupt,
      "the logit of token {} is {}: the model's weights or its computation are broken, nothing can be sampled",
      bad - logits.begin(), *bad);
}

}  // namespace

Status LogitScan::scan(std::span<const float> logits) {
  if (logits.empty() || logits.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return fail_f(ErrorCode::kInvalidArgument, "cannot sample from {} logits", logits.size());
  }
  logits_ = logits;
  const size_t whole = logits.size() / kBlock;
  block_max_.resize((logits.size() + kBlock - 1) / kBlock);
  uint32_t bad = 0;
  for (size_t b = 0; b < whole; ++b) block_max_[b] = block_maximum(logits.data() + b * kBlock, bad);
  if (whole < block_max_.size()) {
    float padded[kBlock];
    const auto end = std::copy(logits.begin() + static_cast<ptrdiff_t>(whole * kBlock), logits.end(), padded);
    std::fill(end, std::end(padded), kNegativeInfinity);
    block_max_[whole] = block_maximum(padded, bad);
  }
  if (bad != 0) return bad_logit(logits);
  max_ = *std::max_element(block_max_.begin(), block_max_.end());
  if (max_ == kNegativeInfinity) {
    return fail(ErrorCode::kInvalidArgument,
                "no token is allowed: every logit is -infinity after the mask and the biases");
  }
  return {};
}

int32_t LogitScan::argmax() const {
  const auto block = std::find(block_max_.begin(), block_max_.end(), max_);
  const auto from = logits_.begin() + static_cast<ptrdiff_t>(kBlock) * (block - block_max_.begin());
  return static_cast<int32_t>(std::find(from, logits_.end(), max_) - logits_.begin());
}

void LogitScan::all(std::vector<Candidate>& out) const {
  out.clear();
  out.reserve(logits_.size());
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (logits_[i] > kNegativeInfinity) out.push_back({static_cast<int32_t>(i), logits_[i], 0.0});
  }
}

void LogitScan::top(size_t k, std::vector<Candidate>& out) {
  float threshold = kNegativeInfinity;
  if (k > 0 && k <= block_max_.size()) {
    ranked_.assign(block_max_.begin(), block_max_.end());
    const auto kth = ranked_.begin() + static_cast<ptrdiff_t>(k - 1);
    std::nth_element(ranked_.begin(), kth, ranked_.end(), std::greater<>());
    threshold = *kth;
  }
  if (threshold == kNegativeInfinity) {
    all(out);
  } else {
    out.clear();
    out.reserve(logits_.size());
    for (size_t b = 0; b < block_max_.size(); ++b) {
      if (block_max_[b] < threshold) continue;
      const size_t end = std::min(logits_.size(), (b + 1) * kBlock);
      for (size_t i = b * kBlock; i < end; ++i) {
        if (logits_[i] >= threshold) out.push_back({static_cast<int32_t>(i), logits_[i], 0.0});
      }
    }
  }
  if (k < out.size()) {
    std::nth_element(out.begin(), out.begin() + static_cast<ptrdiff_t>(k), out.end(), likelier);
    out.resize(k);
  }
  std::sort(out.begin(), out.end(), likelier);
}

double LogitScan::exp_sum() const {
  constexpr size_t kLanes = 8;
  const double max = max_;
  double sums[kLanes] = {};
  for (size_t base = 0; base < logits_.size(); base += kBlock) {
    // A loop for each step, so that gcc makes vectors of them: 1.7 ms at 262,144 logits in one loop, see sample_speed.
    double terms[kBlock];
    const size_t n = std::min(kBlock, logits_.size() - base);
    const float* z = logits_.data() + base;
    for (size_t i = 0; i < n; ++i) terms[i] = static_cast<double>(z[i]) - max;
    for (size_t i = 0; i < n; ++i) terms[i] = terms[i] > kExpLeast ? terms[i] : kExpLeast;
    for (size_t i = 0; i < n; ++i) terms[i] = det_exp_term(terms[i]);
    for (size_t i = 0; i < n; ++i) sums[i % kLanes] += terms[i];
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

double log_prob(const LogitScan& scan, double exp_sum, int32_t id) {
  const double z = scan.logits()[static_cast<size_t>(id)];
  return z - static_cast<double>(scan.max()) - det_log(exp_sum);
}

void top_log_probs(LogitScan& scan, double exp_sum, size_t n, std::vector<Candidate>& scratch,
                   std::vector<TokenLogProb>& out) {
  out.clear();
  if (n == 0) return;
  scan.top(n, scratch);
  for (const Candidate& c : scratch) out.push_back({c.id, log_prob(scan, exp_sum, c.id)});
}

Result<LogProbs> log_probs(std::span<const float> logits, size_t top_n, int32_t chosen) {
  LogitScan scan;
  QUERN_CHECK_OK(scan.scan(logits));
  if (chosen < 0 || static_cast<size_t>(chosen) >= logits.size()) {
    return fail_f(ErrorCode::kInvalidArgument, "token {} is not in the vocabulary of {}", chosen, logits.size());
  }
  const double sum = scan.exp_sum();
  LogProbs result{.top = {}, .chosen = log_prob(scan, sum, chosen)};
  std::vector<Candidate> scratch;
  top_log_probs(scan, sum, top_n, scratch, result.top);
  return result;
}

}  // namespace quern
