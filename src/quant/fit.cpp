#include "quant/fit.h"

#include <algorithm>
#include <cmath>

#include "base/half.h"

namespace quern::formats_detail {
namespace {

constexpr float kMaxInput = 1e9f;
constexpr double kMaxF16 = 65504.0;
constexpr int kCandidates = 9;          // on each side of the plain range scale
constexpr double kCandidateStep = 0.1;  // in units of one level
constexpr size_t kMaxFit = 256;

struct Weights {
  double w[kMaxFit];
  explicit Weights(std::span<const float> x) {
    double square = 0;
    for (float v : x) square += double(v) * v;
    const double rms = std::sqrt(square / double(x.size()));
    for (size_t i = 0; i < x.size(); ++i) w[i] = rms + std::fabs(x[i]);
  }
};

}  // namespace

void clean(const float* in, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = std::isnan(in[i]) ? 0.0f : std::clamp(in[i], -kMaxInput, kMaxInput);
}

uint16_t finite_f16(double value) {
  return f32_to_f16(static_cast<float>(std::clamp(value, -kMaxF16, kMaxF16)));
}

int round_clamp(double x, int lo, int hi) {
  // Adding 1.5 * 2^52 leaves no room for a fraction, so the addition itself rounds to nearest even.
  constexpr double kNoFraction = 0x1.8p52;
  return static_cast<int>(std::clamp(x, double(lo), double(hi)) + kNoFraction - kNoFraction);
}

int LevelSet::nearest(double x) const {
  if (!sorted) return round_clamp(x, lo, hi);
  const int8_t* end = sorted + count;
  const int8_t* above = std::lower_bound(sorted, end, x, [](int8_t level, double v) { return level < v; });
  if (above == sorted) return lo;
  if (above == end) return hi;
  return x - above[-1] <= above[0] - x ? above[-1] : above[0];
}

double fit_scale(std::span<const float> x, const LevelSet& levels) {
  const float peak =
      *std::max_element(x.begin(), x.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  if (peak == 0) return 0;
  const Weights weights(x);
  double best_d = 0;
  double best_gain = -1;
  for (const int end : {levels.lo, levels.hi}) {
    for (int step = -kCandidates; step <= kCandidates; ++step) {
      const double inverse = (end + step * kCandidateStep) / peak;
      double xq = 0;
      double qq = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double q = levels.nearest(x[i] * inverse);
        xq += weights.w[i] * x[i] * q;
        qq += weights.w[i] * q * q;
      }
      // With d = xq / qq the error is sum w x^2 - xq^2 / qq.
      if (qq > 0 && xq * xq > best_gain * qq) {
        best_gain = xq * xq / qq;
        best_d = xq / qq;
      }
    }
  }
  return best_d;
}

Affine fit_affine(std::span<const float> x, int q_max, bool min_only) {
  const auto [lo_it, hi_it] = std::minmax_element(x.begin(), x.end());
  const double lo = min_only ? std::min<double>(*lo_it, 0) : *lo_it;
  const double hi = *hi_it;
  if (hi <= lo) return {.d = 0, .m = -lo};
  const Weights weights(x);
  Affine best;
  double best_error = HUGE_VAL;
  const auto consider = [&](double d, double m) {
    double error = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double diff = d * round_clamp((x[i] + m) / d, 0, q_max) - m - x[i];
      error += weights.w[i] * diff * diff;
    }
    if (error < best_error) {
      best_error = error;
      best = {.d = d, .m = m};
    }
  };
  consider((hi - lo) / q_max, -lo);
  for (int step = -kCandidates; step <= kCandidates; ++step) {
    const double inverse = (q_max + step * kCandidateStep) / (hi - lo);
    double w = 0, wx = 0, wq = 0, wqq = 0, wxq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double q = round_clamp((x[i] - lo) * inverse, 0, q_max);
      w += weights.w[i];
      wx += weights.w[i] * x[i];
      wq += weights.w[i] * q;
      wqq += weights.w[i] * q * q;
      wxq += weights.w[i] * x[i] * q;
    }
    const double det = w * wqq - wq * wq;
    if (!(det > 0)) continue;
    double d = (w * wxq - wx * wq) / det;
    double m = (wq * wxq - wqq * wx) / det;
    if (min_only && m < 0) {
      m = 0;
      d = wqq > 0 ? wxq / wqq : 0;
    }
    if (d > 0) consider(d, m);
  }
  return best;
}

}  // namespace quern::formats_detail
