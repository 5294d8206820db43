#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace quern {
namespace {

// A machine as measured with a model of 135 M parameters on two cores: 3.3 ms for a step of decoding, 0.6 ms for a
// prompt token, which doubles over a prompt of 8,000; small chunks cost more; steps scatter, and some few take ten
// times as long because something else ran.
struct Machine {
  SplitMix64 rng{7};
  double noise = 0.04;
  double outliers = 0.004;
  double slower = 1;

  [[nodiscard]] double decode(size_t n) const { return slower * 0.0033 * (0.9 + 0.1 * static_cast<double>(n)); }
  double seconds(size_t n_decode, size_t n_prompt, size_t depth) {
    double s = n_decode > 0 ? decode(n_decode) : 0.0;
    const double token = 0.0006 * (1 + static_cast<double>(depth) / 8000);
    if (n_prompt > 0) s += slower * token * (static_cast<double>(n_prompt) + 0.5);
    const double scatter = (rng.next_double() + rng.next_double() + rng.next_double() - 1.5) * 2 * noise;
    return s * (1 + scatter) * (rng.next_double() < outliers ? 10 : 1);
  }
};

struct Reading {
  std::vector<double> steps;  // seconds, sorted
  double mean = 0;
  [[nodiscard]] double p99() const { return steps[steps.size() * 99 / 100]; }
};

// A prompt of `n_tokens` is read beside `n_decode` streams.
Reading read(StepCost& cost, Machine& machine, size_t n_decode, size_t n_tokens, double stall = 0) {
  Reading r;
  for (size_t depth = 0; depth < n_tokens;) {
    const size_t n = std::min(n_tokens - depth, cost.prompt_budget(n_decode, stall, 512));
    const double s = machine.seconds(n_decode, n, depth);
    cost.record(n_decode, n, s);
    r.steps.push_back(s);
    depth += n;
  }
  std::sort(r.steps.begin(), r.steps.end());
  const size_t usual = r.steps.size() * 99 / 100;  // without the outliers
  for (size_t i = 0; i < usual; ++i) r.mean += r.steps[i] / static_cast<double>(usual);
  return r;
}

void decode(StepCost& cost, Machine& machine, size_t n_decode, size_t steps) {
  for (size_t i = 0; i < steps; ++i) cost.record(n_decode, 0, machine.seconds(n_decode, 0, 0));
}

TEST(StepCost, NothingMeasured) {
  const StepCost cost;
  EXPECT_EQ(cost.decode_seconds(3), 0);
  EXPECT_EQ(cost.prompt_seconds(3), 0);
  EXPECT_EQ(cost.prompt_budget(0, 0, 512), 512u);
  EXPECT_EQ(cost.prompt_budget(4, 0, 512), StepCost::kUnmeasuredTokens);
  EXPECT_EQ(cost.prompt_budget(4, 0.1, 5), 5u);
}

// The requirement: while an 8,000-token prompt is read, the p99 gap of streams stays within twice their gap alone.
TEST(StepCost, AStreamsGapStaysWithinTwiceItsGapAlone) {
  for (const size_t n_decode : {1, 2, 7, 16}) {
    SCOPED_TRACE(n_decode);
    Machine machine;
    StepCost cost;
    decode(cost, machine, n_decode, 100);
    const Reading r = read(cost, machine, n_decode, 8000);
    EXPECT_LT(r.p99(), 2 * machine.decode(n_decode));
    EXPECT_LT(r.mean, 1.75 * machine.decode(n_decode));
    EXPECT_GT(r.mean, 1.2 * machine.decode(n_decode)) << "reads less than it may";
  }
}

TEST(StepCost, KeepsAStallTargetInSeconds) {
  Machine machine{.outliers = 0};  // so few steps that one would be the 99th percentile
  StepCost cost;
  decode(cost, machine, 4, 50);
  const Reading r = read(cost, machine, 4, 8000, 0.060);
  EXPECT_LT(r.p99(), 0.060);
  EXPECT_GT(r.mean, 0.7 * 0.060);
  // One that a step of decoding alone exceeds leaves the least.
  EXPECT_EQ(cost.prompt_budget(4, 0.001, 512), 1u);
}

// Streams and a long prompt from the first step on: nothing was ever measured alone.
TEST(StepCost, FindsTheCostOfDecodingWhileAPromptIsRead) {
  Machine machine;
  StepCost cost;
  const Reading r = read(cost, machine, 4, 8000);
  EXPECT_NEAR(cost.decode_seconds(4), machine.decode(4), 0.2 * machine.decode(4));
  EXPECT_LT(r.mean, 1.9 * machine.decode(4));
}

TEST(StepCost, ShortPromptsMayTakeAPauseThatAReaderDoesNotSee) {
  StepCost cost;
  EXPECT_EQ(cost.short_stall_seconds(1), 0);
  cost.record(1, 0, 0.003);
  EXPECT_DOUBLE_EQ(cost.short_stall_seconds(1), 0.024);
  cost.record(16, 0, 0.020);
  EXPECT_DOUBLE_EQ(cost.short_stall_seconds(16), 0.1);
  cost.record(32, 0, 0.2);
  EXPECT_DOUBLE_EQ(cost.short_stall_seconds(32), 0.4) << "a large model: as beside any prompt";
}

TEST(StepCost, AnOutlierChangesLittle) {
  Machine machine{.noise = 0, .outliers = 0};
  StepCost cost;
  decode(cost, machine, 2, 50);
  read(cost, machine, 2, 500);
  const double before = cost.decode_seconds(2);
  const size_t budget = cost.prompt_budget(2, 0.05, 512);
  cost.record(2, 0, 10 * before);
  EXPECT_LT(cost.decode_seconds(2), 1.25 * before);
  cost.record(2, 0, before);
  cost.record(2, budget, 10 * machine.seconds(2, budget, 500));
  EXPECT_GT(cost.prompt_budget(2, 0.05, 512), budget * 2 / 3);
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) cost.record(2, 4, bad);
  EXPECT_TRUE(std::isfinite(cost.prompt_seconds(4)));
}

TEST(StepCost, FollowsAMachineThatBecomesSlower) {
  Machine machine{.noise = 0, .outliers = 0};
  StepCost cost;
  decode(cost, machine, 1, 50);
  machine.slower = 3;
  decode(cost, machine, 1, 60);
  EXPECT_NEAR(cost.decode_seconds(1), machine.decode(1), 0.02 * machine.decode(1));
}

TEST(StepCost, InterpolatesBetweenNumbersOfDecoders) {
  StepCost cost;
  cost.record(4, 0, 0.004);
  EXPECT_DOUBLE_EQ(cost.decode_seconds(4), 0.004);
  EXPECT_DOUBLE_EQ(cost.decode_seconds(1), 0.0025);
  EXPECT_DOUBLE_EQ(cost.decode_seconds(100), 0.004);
  cost.record(32, 0, 0.011);
  EXPECT_NEAR(cost.decode_seconds(11), 0.00575, 1e-12);
}

// A wrong estimate for large chunks is corrected although none are tried.
TEST(StepCost, LargeChunksAreNeverThoughtDearerThanSmallOnes) {
  StepCost cost;
  cost.record(1, 0, 0.003);
  cost.record(1, 64, 0.003 + 64 * 0.005);
  for (int i = 0; i < 60; ++i) cost.record(1, 8, 0.003 + 8 * 0.001);
  EXPECT_LE(cost.prompt_seconds(64), 64 * 0.0011);
}

}  // namespace
}  // namespace quern
