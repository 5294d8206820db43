#include "base/det_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>

#include "base/rng.h"

namespace quern {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// Distance of `got` from the long double truth in units of the last place of the double nearest to it.
double ulps(double got, long double truth) {
  const double nearest = static_cast<double>(truth);
  const double ulp = std::nextafter(std::fabs(nearest), kInf) - std::fabs(nearest);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - truth) / static_cast<long double>(ulp));
}

// The worst error of `f` against `truth` over arguments drawn by `draw`.
double worst(std::function<double(SplitMix64&)> draw, std::function<double(double)> f,
             std::function<long double(long double)> truth) {
  SplitMix64 rng(7);
  double most = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = draw(rng);
    const double error = ulps(f(x), truth(x));
    if (!(error <= most)) most = error;  // NaN is kept, and fails the comparison of the caller
  }
  return most;
}

double log_uniform(SplitMix64& rng, double low_exponent, double high_exponent) {
  return std::exp2(low_exponent + (high_exponent - low_exponent) * rng.next_double());
}

TEST(DetMath, ExpIsWithinAnUlp) {
  const auto truth = [](long double x) { return std::exp(x); };
  EXPECT_LE(worst([](SplitMix64& r) { return 1417 * r.next_double() - 708; }, det_exp, truth), 1.0);
  EXPECT_LE(worst([](SplitMix64& r) { return 2 * r.next_double() - 1; }, det_exp, truth), 1.0);
  EXPECT_LE(worst([](SplitMix64& r) { return -log_uniform(r, -60, 6); }, det_exp, truth), 1.0);
  EXPECT_LE(worst([](SplitMix64& r) { return -745 + 37 * r.next_double(); }, det_exp, truth), 1.0);  // subnormals
}

TEST(DetMath, ExpAtTheEdges) {
  EXPECT_EQ(det_exp(0.0), 1.0);
  EXPECT_EQ(det_exp(-0.0), 1.0);
  EXPECT_EQ(det_exp(kInf), kInf);
  EXPECT_EQ(det_exp(-kInf), 0.0);
  EXPECT_EQ(det_exp(709.79), kInf);
  EXPECT_LT(det_exp(709.78), kInf);
  EXPECT_EQ(det_exp(1e300), kInf);
  EXPECT_EQ(det_exp(-746.0), 0.0);
  EXPECT_TRUE(std::isnan(det_exp(std::nan(""))));
}

TEST(DetMath, NonpositiveExpEqualsExp) {
  SplitMix64 rng(11);
  for (int i = 0; i < 100000; ++i) {
    const double x = -708 * rng.next_double();
    ASSERT_EQ(det_exp_nonpositive(x), det_exp(x)) << x;
  }
  EXPECT_EQ(det_exp_nonpositive(0.0), 1.0);
  EXPECT_EQ(det_exp_nonpositive(-kInf), 0.0);
  EXPECT_EQ(det_exp_nonpositive(-708.8), 0.0);
  EXPECT_EQ(det_exp_nonpositive(-1e30), 0.0);
}

TEST(DetMath, LogIsWithinAnUlp) {
  const auto truth = [](long double x) { return std::log(x); };
  EXPECT_LE(worst([](SplitMix64& r) { return log_uniform(r, -1060, 1023); }, det_log, truth), 1.0);
  EXPECT_LE(worst([](SplitMix64& r) { return log_uniform(r, -1, 1); }, det_log, truth), 1.0);
  EXPECT_LE(worst([](SplitMix64& r) { return 1 + 1e-3 * (r.next_double() - 0.5); }, det_log, truth), 1.0);
  EXPECT_EQ(det_log(1.0), 0.0);
  EXPECT_EQ(det_log(0.0), -kInf);
  EXPECT_EQ(det_log(kInf), kInf);
  EXPECT_TRUE(std::isnan(det_log(-1.0)));
  EXPECT_TRUE(std::isnan(det_log(std::nan(""))));
}

TEST(DetMath, PowIsWithinAnUlp) {
  for (double base : {10000.0, 1e6, 500000.0, 0.3, 1.0000001, 1.75, 1e-300}) {
    const double reach = 700 / std::fabs(std::log(base));
    EXPECT_LE(worst([&](SplitMix64& r) { return reach * (2 * r.next_double() - 1); },
                    [&](double e) { return det_pow(base, e); },
                    [&](long double e) { return std::pow(static_cast<long double>(base), e); }),
              1.0)
        << base;
  }
  EXPECT_EQ(det_pow(10000.0, 0.0), 1.0);
  EXPECT_EQ(det_pow(1.0, kInf), 1.0);
  EXPECT_EQ(det_pow(2.0, 10.0), 1024.0);
  EXPECT_EQ(det_pow(2.0, -1074.0), 0x1p-1074);
  EXPECT_EQ(det_pow(2.0, 5000.0), kInf);
  EXPECT_EQ(det_pow(2.0, -kInf), 0.0);
  EXPECT_EQ(det_pow(kInf, -1.0), 0.0);
  EXPECT_TRUE(std::isnan(det_pow(0.0, 2.0)));
  EXPECT_TRUE(std::isnan(det_pow(-2.0, 2.0)));
}

TEST(DetMath, SinCosAreWithinAnUlp) {
  const auto sine = [](double x) {
    double s, c;
    det_sincos(x, &s, &c);
    return s;
  };
  const auto cosine = [](double x) {
    double s, c;
    det_sincos(x, &s, &c);
    return c;
  };
  const auto sin_truth = [](long double x) { return std::sin(x); };
  const auto cos_truth = [](long double x) { return std::cos(x); };
  for (double reach : {0.8, 10.0, 1e4, 1e7}) {
    const auto draw = [&](SplitMix64& r) { return reach * (2 * r.next_double() - 1); };
    EXPECT_LE(worst(draw, sine, sin_truth), 1.0) << reach;
    EXPECT_LE(worst(draw, cosine, cos_truth), 1.0) << reach;
  }
  // Beside the multiples of pi/2 nothing is left but what the reduction kept.
  const auto near_multiple = [](SplitMix64& r) {
    return static_cast<double>(static_cast<int>(6e6 * r.next_double())) * 1.5707963267948966;
  };
  EXPECT_LE(worst(near_multiple, sine, sin_truth), 1.0);
  EXPECT_LE(worst(near_multiple, cosine, cos_truth), 1.0);
  EXPECT_EQ(sine(0.0), 0.0);
  EXPECT_EQ(cosine(0.0), 1.0);
  EXPECT_TRUE(std::isnan(sine(1.1e7)));
  EXPECT_TRUE(std::isnan(cosine(kInf)));
}

// The bits themselves, over a fixed sweep: this constant holds on every machine, or the promise is broken.
TEST(DetMath, BitsAreTheSameEverywhere) {
  SplitMix64 rng(42);
  uint64_t hash = 0xcbf29ce484222325ull;
  const auto mix = [&hash](double v) { hash = (hash ^ std::bit_cast<uint64_t>(v)) * 0x100000001b3ull; };
  for (int i = 0; i < 20000; ++i) {
    const double u = rng.next_double();
    mix(det_exp(1400 * u - 700));
    mix(det_log(u * 1e6 + 1e-9));
    mix(det_pow(1e4, 4 * u - 2));
    double s, c;
    det_sincos(1e6 * u, &s, &c);
    mix(s);
    mix(c);
  }
  EXPECT_EQ(hash, 11211502504432339655ull);
}

}  // namespace
}  // namespace quern
