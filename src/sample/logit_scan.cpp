#include "sample/logit_scan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "base/det_math.h"

namespace quern {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// Four floats, for the two loops that the compilers do not make vectors of by themselves: a running maximum.
using Float4 = float __attribute__((vector_size(16)));
using Mask4 = int32_t __attribute__((vector_size(16)));

Float4 load4(const float* z) {
  Float4 x;
  std::memcpy(&x, z, sizeof x);
  return x;
}

// The greatest of 64 logits. `bad` becomes non-zero in a lane where one is NaN or +infinity.
float block_maximum(const float* z, Mask4& bad) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr Float4 kLimit = {kInf, kInf, kInf, kInf};
  Float4 most[4] = {load4(z), load4(z + 4), load4(z + 8), load4(z + 12)};
  for (const Float4 x : most) bad |= ~(x < kLimit);
  for (size_t i = 16; i < 64; i += 16) {
    for (size_t j = 0; j < 4; ++j) {
      const Float4 x = load4(z + i + 4 * j);
      bad |= ~(x < kLimit);
      most[j] = x > most[j] ? x : most[j];
    }
  }
  most[0] = most[1] > most[0] ? most[1] : most[0];
  most[2] = most[3] > most[2] ? most[3] : most[2];
  most[0] = most[2] > most[0] ? most[2] : most[0];
  const float a = most[0][1] > most[0][0] ? most[0][1] : most[0][0];
  const float b = most[0][3] > most[0][2] ? most[0][3] : most[0][2];
  return b > a ? b : a;
}

// 2^y for y in [-126, 0] to 3e-6 relative: the Taylor polynomial of degree 5 in the distance to the nearest integer,
// coefficients ln(2)^k / k!. For bounds only.
Float4 rough_exp2(Float4 y) {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const Float4 shifted = y + kRound;
  const Float4 r = y - (shifted - kRound);
  const Float4 r2 = r * r;
  const Float4 high = 5.55041087e-2f + r * 9.61812911e-3f + r2 * 1.33335581e-3f;
  const Float4 x = (1.0f + r * 6.93147181e-1f) + r2 * (2.40226507e-1f + r * high);
  // The integer in the low bits of `shifted` becomes the exponent, as kRound's own low nine bits are 0.
  return x * std::bit_cast<Float4>((std::bit_cast<Mask4>(shifted) + 127) << 23);
}

// Eight lanes, added as the reductions of docs/numerics.md are.
double sum_of_lanes(const double (&s)[8]) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// terms[i] = exp((z[i] - max) * scale). A loop for each step, so that gcc makes vectors of them: twice the time in one.
void exp_terms(const float* z, size_t n, double max, double scale, double* terms) {
  for (size_t i = 0; i < n; ++i) terms[i] = (static_cast<double>(z[i]) - max) * scale;
  for (size_t i = 0; i < n; ++i) terms[i] = terms[i] > kExpLeast ? terms[i] : kExpLeast;
  for (size_t i = 0; i < n; ++i) terms[i] = det_exp_term(terms[i]);
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
  Mask4 bad = {};
  float most = kNegativeInfinity;
  for (size_t b = 0; b < whole; ++b) {
    const float x = block_maximum(logits.data() + b * kBlock, bad);
    block_max_[b] = x;
    most = x > most ? x : most;
  }
  if (whole < block_max_.size()) {
    float padded[kBlock];
    const auto end = std::copy(logits.begin() + static_cast<ptrdiff_t>(whole * kBlock), logits.end(), padded);
    std::fill(end, std::end(padded), kNegativeInfinity);
    block_max_[whole] = block_maximum(padded, bad);
    most = std::max(most, block_max_[whole]);
  }
  if ((bad[0] | bad[1] | bad[2] | bad[3]) != 0) return bad_logit(logits);
  max_ = most;
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

void LogitScan::within(double least, double most, std::vector<Candidate>& out) const {
  const double max = max_;
  out.clear();
  out.reserve(logits_.size());
  for (size_t b = 0; b < block_max_.size(); ++b) {
    if (!(block_max_[b] > kNegativeInfinity && static_cast<double>(block_max_[b]) - max >= least)) continue;
    const size_t end = std::min(logits_.size(), (b + 1) * kBlock);
    for (size_t i = b * kBlock; i < end; ++i) {
      const double x = static_cast<double>(logits_[i]) - max;
      if (x >= least && x <= most && logits_[i] > kNegativeInfinity) {
        out.push_back({static_cast<int32_t>(i), logits_[i], 0.0});
      }
    }
  }
}

void LogitScan::from(float least, std::vector<Candidate>& out) const {
  within(static_cast<double>(least) - 1e-3, 0, out);
  std::erase_if(out, [&](const Candidate& c) { return c.logit - max_ < least; });
}

void LogitScan::all(std::vector<Candidate>& out) const {
  within(kNegativeInfinity, 0, out);
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
  double sums[8] = {};
  for (size_t base = 0; base < logits_.size(); base += kBlock) {
    double terms[kBlock];
    const size_t n = std::min(kBlock, logits_.size() - base);
    exp_terms(logits_.data() + base, n, max_, 1.0, terms);
    for (size_t i = 0; i < n; ++i) sums[i % 8] += terms[i];
  }
  return sum_of_lanes(sums);
}

LogitScan::Moments LogitScan::moments() const {
  double sums[8] = {}, weighted[8] = {};
  const double max = max_;
  for (size_t base = 0; base < logits_.size(); base += kBlock) {
    double terms[kBlock];
    const size_t n = std::min(kBlock, logits_.size() - base);
    exp_terms(logits_.data() + base, n, max, 1.0, terms);
    for (size_t i = 0; i < n; ++i) sums[i % 8] += terms[i];
    for (size_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(logits_[base + i]) - max;
      weighted[i % 8] += terms[i] * (x > kExpLeast ? x : kExpLeast);
    }
  }
  return {sum_of_lanes(sums), sum_of_lanes(weighted)};
}

// The error, relative to the sum of the terms that are summed here: a term's is twice |x| 2^-24, from the subtraction
// and the change to powers of two, and the sum of p |x| is at most the entropy, below ln 2^31 = 21.5, and -ln of their
// part of the whole, which the rest of kError and kLeast cover: 2.6e-6. rough_exp2 adds 3e-6, the float additions of a
// lane 1e-6. kLeast also covers what is too small and counted as 2^-100 or left out.
LogitScan::Bounds LogitScan::exp_sum_bounds(float below) const {
  constexpr double kError = 8e-6, kLeast = 3e-8;
  constexpr float kNegligible = -40, kLog2E = 1.44269504f;
  double sum = 0;
  for (size_t b = 0; b < block_max_.size(); ++b) {
    if (block_max_[b] - max_ < kNegligible) continue;
    const size_t n = std::min(kBlock, logits_.size() - b * kBlock);
    const float* z = logits_.data() + b * kBlock;
    float y[kBlock];
    for (size_t i = 0; i < n; ++i) y[i] = z[i] - max_;
    for (size_t i = n; i < kBlock; ++i) y[i] = kNegativeInfinity;
    if (block_max_[b] - max_ >= below) {
      for (size_t i = 0; i < n; ++i) y[i] = y[i] < below ? y[i] : kNegativeInfinity;
    }
    for (size_t i = 0; i < kBlock; ++i) y[i] = y[i] * kLog2E > -100.0f ? y[i] * kLog2E : -100.0f;
    Float4 sums[2] = {};
    for (size_t i = 0; i < kBlock; i += 8) {
      sums[0] += rough_exp2(load4(y + i));
      sums[1] += rough_exp2(load4(y + i + 4));
    }
    sums[0] += sums[1];
    sum += static_cast<double>((sums[0][0] + sums[0][2]) + (sums[0][1] + sums[0][3]));
  }
  return {sum * (1 - kError) - kLeast, sum * (1 + kError) + kLeast};
}

LogitScan::Drawn LogitScan::draw(double scale, double u) {
  block_sum_.resize(block_max_.size());
  double terms[kBlock];
  const auto block = [&](size_t b) {
    const size_t n = std::min(kBlock, logits_.size() - b * kBlock);
    exp_terms(logits_.data() + b * kBlock, n, max_, scale, terms);
    return n;
  };
  double total = 0;
  for (size_t b = 0; b < block_sum_.size(); ++b) {
    const size_t n = block(b);
    double sums[8] = {};
    for (size_t i = 0; i < n; ++i) sums[i % 8] += terms[i];
    block_sum_[b] = sum_of_lanes(sums);
    total += block_sum_[b];
  }
  Drawn drawn{argmax(), 0.0};
  double before = 0;
  for (size_t b = 0; b < block_sum_.size(); before += block_sum_[b++]) {
    if (before + block_sum_[b] <= u * total && b + 1 < block_sum_.size()) continue;
    const size_t n = block(b);
    double sum = before;
    for (size_t i = 0; i < n; ++i) {
      if (!(terms[i] > 0)) continue;
      drawn = {static_cast<int32_t>(b * kBlock + i), terms[i] / total};
      sum += terms[i];
      if (sum > u * total) return drawn;
    }
  }
  return drawn;
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
