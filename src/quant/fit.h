// Scale searches for the reference encoders: weighted least squares over a few candidate scales. Internal to quant.
//
// The error minimised is sum w[i] * (x[i] - approximation)^2 with w = rms(x) + |x|: large weights matter more, and none
// is free. All sums are in double; all inputs have passed clean(), so nothing here can become infinite or NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace quern::formats_detail {

// Copies n values with NaN as 0 and magnitudes limited to 1e9 (beyond what any block format can hold).
void clean(const float* in, float* out, size_t n);

// The nearest half-precision float to `value`, clipped to the finite range.
uint16_t finite_f16(double value);

// The finite level set of a format: lo..hi evenly spaced, or a sorted table of levels.
struct LevelSet {
  int lo = 0;
  int hi = 0;
  const int8_t* sorted = nullptr;  // ascending, `count` of them; lo and hi are its ends
  int count = 0;

  // The level nearest to x.
  [[nodiscard]] int nearest(double x) const;
};

// d such that x is near d * level: the best over candidates that put the largest value near either end of the levels.
// 0 when all x are 0. d may be negative.
double fit_scale(std::span<const float> x, const LevelSet& levels);

// x is near d * q - m with q in 0..q_max, d >= 0. m >= 0 where `min_only` (K-quants, whose minimum is never positive).
struct Affine {
  double d = 0;
  double m = 0;
};
Affine fit_affine(std::span<const float> x, int q_max, bool min_only);

// round(x) limited to [lo, hi]; ties to even.
int round_clamp(double x, int lo, int hi);

}  // namespace quern::formats_detail
