// Deterministic exp, log, pow, sin and cos: the same bits on every machine, compiler and libm.
//
// std::exp and friends differ between C libraries in the last place, which is enough to turn one sampled token into
// another. These use only IEEE 754 double operations that round one way everywhere (add, multiply, divide, fma), in a
// written order; the build's -ffp-contract=off keeps the compiler from fusing others. Within 1 ulp of the true value
// over the ranges that each names (det_math_test.cpp measures it). Pure functions, any thread.
//
// The series are plain Taylor series, long enough for double: the coefficients are reciprocal factorials and odd
// numbers, so that nothing has to be believed. Argument reduction after W. J. Cody and W. Waite, "Software Manual for
// the Elementary Functions", 1980; products and sums with their error after T. J. Dekker, Numer. Math. 18, 1971.
#pragma once

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>

namespace quern {

static_assert(FLT_EVAL_METHOD == 0, "det_math needs doubles that are rounded to double after each operation");

namespace det_internal {

// A value as the unevaluated sum of two doubles, |lo| <= ulp(hi) / 2.
struct DoubleDouble {
  double hi;
  double lo;
};

inline DoubleDouble quick_two_sum(double a, double b) {  // |a| >= |b|
  const double s = a + b;
  return {s, b - (s - a)};
}

inline DoubleDouble two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

inline DoubleDouble two_product(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}

inline DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble p = two_product(a.hi, b.hi);
  return quick_two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

inline DoubleDouble add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble s = two_sum(a.hi, b.hi);
  return quick_two_sum(s.hi, s.lo + (a.lo + b.lo));
}

inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kLn2Hi = 0x1.62e42fefa38p-1;        // 42 bits: exact times any exponent
inline constexpr double kLn2Lo = 0x1.ef35793c7673p-45;      // ln 2 - kLn2Hi
inline constexpr double kLn2LoLo = 0x1.f97b57a079a19p-103;  // what is left
inline constexpr double kRoundToInteger = 0x1.8p52;         // adding it leaves the nearest integer in the low bits

struct ExpParts {
  double mantissa;  // about [0.7, 1.42]
  int64_t exponent;
};

// exp(x + tail) = mantissa * 2^exponent, for |x| < 2000 and a tail below an ulp or so of x. No branch, no fma and no
// table, so that a loop over it runs in vector registers on any machine.
inline ExpParts exp_parts(double x, double tail) {
  const double shifted = x * kLog2E + kRoundToInteger;
  const double n = shifted - kRoundToInteger;
  const double hi = x - n * kLn2Hi;  // exact
  const double lo = n * kLn2Lo - tail;
  const double r = hi - lo;
  const double lost = (hi - r) - lo;
  const double r2 = r * r;
  const double r4 = r2 * r2;
  // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, by Estrin's scheme.
  const double a = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
  const double b = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
  const double c = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800));
  const double q = a + r4 * (b + r4 * c);
  return {1.0 + (r + (lost + r2 * q)), std::bit_cast<int64_t>(shifted) - std::bit_cast<int64_t>(kRoundToInteger)};
}

inline double exp_with_tail(double x, double tail) {
  if (!(x <= 709.8)) return x * std::numeric_limits<double>::infinity();  // overflow, +inf, NaN
  if (x < -745.2) return 0.0;
  const ExpParts parts = exp_parts(x, tail);
  // In two steps, of which at most the second rounds: 2^1024 and subnormals have no factor of their own.
  const int64_t first = parts.exponent / 2;
  const auto power = [](int64_t e) { return std::bit_cast<double>(static_cast<uint64_t>(e + 1023) << 52); };
  return parts.mantissa * power(first) * power(parts.exponent - first);
}

// ln x to about 2^-65 relative, for finite x > 0.
inline DoubleDouble log_parts(double x) {
  int64_t exponent = 0;
  if (x < DBL_MIN) {
    x *= 0x1p54;
    exponent = -54;
  }
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  // m in [1/sqrt(2), sqrt(2)): the offset carries into the exponent where the fraction is beyond sqrt(2).
  const int64_t carry = (bits & 0xfffffffffffffull) >= 0x6a09e667f3bcdull ? 1 : 0;
  exponent += static_cast<int64_t>(bits >> 52) - 1023 + carry;
  const double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | (static_cast<uint64_t>(1023 - carry) << 52));
  // ln m = 2 atanh(s) = 2s + s^3 (2/3 + 2/5 s^2 + ...), s = (m - 1) / (m + 1), |s| < 0.172.
  const double f = m - 1.0;
  const DoubleDouble d = two_sum(m, 1.0);
  const double s_hi = f / d.hi;
  const DoubleDouble s = quick_two_sum(s_hi, (std::fma(-s_hi, d.hi, f) - s_hi * d.lo) / d.hi);
  const DoubleDouble s2 = multiply(s, s);
  const DoubleDouble s3 = multiply(s2, s);
  const double t = s2.hi;
  double tail = 2.0 / 27;
  for (int k = 25; k >= 5; k -= 2) tail = std::fma(tail, t, 2.0 / k);
  const DoubleDouble cubic = multiply(s3, {2.0 / 3, 0x1.5555555555555p-55});
  const DoubleDouble series = add({2 * s.hi, 2 * s.lo}, quick_two_sum(cubic.hi, cubic.lo + s3.hi * (t * tail)));
  const double k = static_cast<double>(exponent);
  const DoubleDouble power = add(quick_two_sum(k * kLn2Hi, 0.0), two_product(k, kLn2Lo));
  return add(add(power, {k * kLn2LoLo, 0.0}), series);
}

}  // namespace det_internal

// e^x. Overflow gives infinity, underflow subnormals and zero, NaN stays NaN.
inline double det_exp(double x) {
  return det_internal::exp_with_tail(x, 0.0);
}

// e^x for the terms of a softmax, x in [kExpLeast, 0]: equal to det_exp down to -708, zero below about -708.7 (where
// det_exp has subnormals), as the exponent field and with it the factor come out as 0. Without a branch, so that
// compilers make vectors of a loop over it.
inline constexpr double kExpLeast = -709.0;
inline double det_exp_term(double x) {
  const auto parts = det_internal::exp_parts(x, 0.0);
  return parts.mantissa * std::bit_cast<double>(static_cast<uint64_t>(parts.exponent + 1023) << 52);
}

// The same for any x <= 0.
inline double det_exp_nonpositive(double x) {
  return det_exp_term(x > kExpLeast ? x : kExpLeast);
}

// ln x. NaN for x < 0 and NaN, -infinity for 0.
inline double det_log(double x) {
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (!(x > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (x > DBL_MAX) return x;
  const auto l = det_internal::log_parts(x);
  return l.hi + l.lo;
}

// base^exponent for a base > 0; NaN for other bases. 1 where the base is 1 or the exponent 0.
inline double det_pow(double base, double exponent) {
  if (!(base > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (base == 1 || exponent == 0) return 1.0;
  if (base > DBL_MAX) return exponent > 0 ? base : exponent < 0 ? 0.0 : exponent;
  const auto l = det_internal::log_parts(base);
  const double hi = exponent * l.hi;
  if (!(std::fabs(hi) < 800)) return det_exp(hi);
  return det_internal::exp_with_tail(hi, std::fma(exponent, l.hi, -hi) + exponent * l.lo);
}

// sin x and cos x for |x| <= 1e7; NaN beyond, where the reduction would lose bits.
inline void det_sincos(double x, double* sine, double* cosine) {
  if (!(std::fabs(x) <= 1e7)) {
    *sine = *cosine = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  // x = n pi/2 + (r + tail). The first step is exact: all its terms are multiples of 2^-53 and the result is below 1.
  constexpr double kPio2Hi = 0x1.921fb54442d18p+0;
  constexpr double kPio2Mid = 0x1.1a62633145c07p-54;
  constexpr double kPio2Lo = -0x1.f1976b7ed8fbcp-110;
  const double shifted = x * 0x1.45f306dc9c883p-1 + det_internal::kRoundToInteger;
  const double n = shifted - det_internal::kRoundToInteger;
  const double first = std::fma(-n, kPio2Hi, x);
  const det_internal::DoubleDouble product = det_internal::two_product(n, kPio2Mid);
  const det_internal::DoubleDouble sum = det_internal::two_sum(first, -product.hi);
  const double rest = sum.lo - product.lo - n * kPio2Lo;
  const double r = sum.hi + rest;
  const double tail = (sum.hi - r) + rest;
  const double r2 = r * r;
  // Taylor series for |r| <= pi/4: r - r^3/3! + ..., 1 - r^2/2! + ..., each with the tail's first-order effect.
  double s = 1.0 / 355687428096000;
  s = std::fma(s, r2, -1.0 / 1307674368000);
  s = std::fma(s, r2, 1.0 / 6227020800);
  s = std::fma(s, r2, -1.0 / 39916800);
  s = std::fma(s, r2, 1.0 / 362880);
  s = std::fma(s, r2, -1.0 / 5040);
  s = std::fma(s, r2, 1.0 / 120);
  s = std::fma(s, r2, -1.0 / 6);
  const double sin_r = r + std::fma(s * r2, r, tail * (1.0 - 0.5 * r2));
  double c = -1.0 / 6402373705728000;
  c = std::fma(c, r2, 1.0 / 20922789888000);
  c = std::fma(c, r2, -1.0 / 87178291200);
  c = std::fma(c, r2, 1.0 / 479001600);
  c = std::fma(c, r2, -1.0 / 3628800);
  c = std::fma(c, r2, 1.0 / 40320);
  c = std::fma(c, r2, -1.0 / 720);
  c = std::fma(c, r2, 1.0 / 24);
  const double half = 0.5 * r2;
  const double one_minus = 1.0 - half;
  const double cos_r = one_minus + (((1.0 - one_minus) - half) + (c * r2 * r2 - r * tail));
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      *sine = sin_r, *cosine = cos_r;
      break;
    case 1:
      *sine = cos_r, *cosine = -sin_r;
      break;
    case 2:
      *sine = -sin_r, *cosine = -cos_r;
      break;
    default:
      *sine = -cos_r, *cosine = sin_r;
      break;
  }
}

}  // namespace quern
