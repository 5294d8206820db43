#include "engine/adaptive_batcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/rng.h"

namespace quern {
namespace {

constexpr double kFixed = 0.004, kPerToken = 0.00002;  // of the simulated engine: seconds a batch, a token

struct Arrival {
  double time = 0;
  size_t length = 0;
};

struct Outcome {
  BatcherStats stats;
  double longest_wait = 0;  // in the batcher
  size_t largest = 0;
  size_t target = 0;  // at the last arrival
};

// A loop with one engine, which wakes at arrivals, deadlines and ends of batches.
Outcome simulate(AdaptiveBatcher& batcher, const std::vector<Arrival>& arrivals) {
  std::map<uint64_t, Arrival> waiting;
  Outcome out;
  double now = 0, free_at = 0;
  size_t next = 0;
  while (next < arrivals.size() || !waiting.empty()) {
    for (; next < arrivals.size() && arrivals[next].time <= now; ++next) {
      waiting[next] = arrivals[next];
      batcher.add(next, arrivals[next].length, arrivals[next].time);
      out.target = batcher.stats().size_target;
    }
    EXPECT_EQ(batcher.waiting(), waiting.size());
    for (;;) {
      const std::vector<uint64_t> batch = batcher.take(now, free_at <= now);
      if (batch.empty()) break;
      size_t tokens = 0, shortest = SIZE_MAX, longest = 0;
      for (const uint64_t id : batch) {
        EXPECT_TRUE(waiting.contains(id)) << "given out twice, or never added";
        out.longest_wait = std::max(out.longest_wait, now - waiting[id].time);
        const size_t n = waiting[id].length;
        tokens += n;
        shortest = std::min(shortest, n);
        longest = std::max(longest, n);
        waiting.erase(id);
      }
      EXPECT_LT(longest, 2 * shortest) << "of two buckets";
      out.largest = std::max(out.largest, batch.size());
      const double seconds = kFixed + kPerToken * static_cast<double>(tokens);
      free_at = std::max(now, free_at) + seconds;
      batcher.done(batch.size(), tokens, seconds);
    }
    const bool idle = free_at <= now;
    double wake = batcher.next_deadline(idle);
    EXPECT_GT(wake, now);
    if (next < arrivals.size()) wake = std::min(wake, arrivals[next].time);
    if (!idle) wake = std::min(wake, free_at);
    EXPECT_TRUE(std::isfinite(wake) || waiting.empty());
    if (::testing::Test::HasFailure() || !std::isfinite(wake)) break;
    now = wake;
  }
  out.stats = batcher.stats();
  return out;
}

std::vector<Arrival> poisson(uint64_t seed, size_t n, double rate, size_t shortest, size_t longest) {
  SplitMix64 rng(seed);
  std::vector<Arrival> all(n);
  double time = 0;
  for (Arrival& a : all) {
    time += -std::log(1 - rng.next_double()) / rate;
    a = {time, shortest + rng.next() % (longest - shortest + 1)};
  }
  return all;
}

TEST(AdaptiveBatcher, NothingWaits) {
  AdaptiveBatcher batcher;
  EXPECT_TRUE(batcher.take(1, true).empty());
  EXPECT_TRUE(std::isinf(batcher.next_deadline()));
  EXPECT_EQ(batcher.stats().batches, 0u);
  EXPECT_EQ(batcher.stats().mean_wait_s, 0);
}

TEST(AdaptiveBatcher, ALoneItemOfAnIdleEngineGoesAtOnce) {
  AdaptiveBatcher batcher;
  batcher.add(7, 100, 3.0);
  EXPECT_LE(batcher.next_deadline(), 3.0);
  EXPECT_EQ(batcher.take(3.0, true), std::vector<uint64_t>{7});
}

TEST(AdaptiveBatcher, ABusyEngineFillsBatches) {
  AdaptiveBatcher batcher({.max_batch = 4, .max_wait_s = 0.1});
  for (uint64_t id = 0; id < 5; ++id) {
    if (id < 4) {
      EXPECT_TRUE(batcher.take(1.0, false).empty()) << id;
    }
    batcher.add(id, 60 + id % 2, 1.0);  // 60 and 61: one bucket
  }
  EXPECT_EQ(batcher.take(1.0, false), (std::vector<uint64_t>{0, 1, 2, 3}));
  EXPECT_TRUE(batcher.take(1.099, false).empty());
  EXPECT_DOUBLE_EQ(batcher.next_deadline(false), 1.1);
  EXPECT_EQ(batcher.take(1.1, false), std::vector<uint64_t>{4});
}

TEST(AdaptiveBatcher, BucketsArePowersOfTwoAndTokensAreLimited) {
  AdaptiveBatcher batcher({.max_batch = 8, .max_tokens = 100, .max_wait_s = 0});
  const size_t lengths[] = {64, 65, 33, 128, 500, 0, 1};
  for (uint64_t id = 0; id < 7; ++id) batcher.add(id, lengths[id], 0.001 * static_cast<double>(id));
  EXPECT_EQ(batcher.take(1, false), (std::vector<uint64_t>{0, 2}));
  EXPECT_EQ(batcher.take(1, false), std::vector<uint64_t>{1});  // with 128 it would be too many tokens
  EXPECT_EQ(batcher.take(1, false), std::vector<uint64_t>{3});
  EXPECT_EQ(batcher.take(1, false), std::vector<uint64_t>{4});  // alone even if longer than max_tokens
  EXPECT_EQ(batcher.take(1, false), (std::vector<uint64_t>{5, 6}));
  EXPECT_EQ(batcher.waiting(), 0u);
}

TEST(AdaptiveBatcher, SlowArrivalsDoNotWait) {
  AdaptiveBatcher batcher;
  const Outcome out = simulate(batcher, poisson(1, 400, 10, 40, 60));
  EXPECT_EQ(out.stats.items, 400u);
  EXPECT_LT(out.stats.mean_wait_s, 0.001);
  EXPECT_LT(out.stats.mean_size, 1.2);
  EXPECT_EQ(out.target, 1u);
}

TEST(AdaptiveBatcher, TheSizeGrowsWithTheRateOfArrivals) {
  double size = 0;
  size_t target = 0;
  for (const double rate : {10.0, 400.0, 1000.0, 1700.0}) {
    SCOPED_TRACE(rate);
    AdaptiveBatcher batcher({.max_batch = 64});
    const Outcome out = simulate(batcher, poisson(2, 5000, rate, 17, 32));
    EXPECT_GT(out.stats.mean_size, size);
    EXPECT_GT(out.target, target);
    EXPECT_LE(out.longest_wait, 0.05 + 1e-9);
    size = out.stats.mean_size;
    target = out.target;
  }
  EXPECT_GT(size, 10);
}

TEST(AdaptiveBatcher, NothingWaitsLongerThanTheLimit) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    SplitMix64 rng(seed);
    const double max_wait = 0.001 + 0.05 * rng.next_double();
    AdaptiveBatcher batcher(
        {.max_batch = 1 + rng.next() % 40, .max_tokens = 1 + rng.next() % 5000, .max_wait_s = max_wait});
    std::vector<Arrival> arrivals = poisson(seed, 300, 5 + 3000 * rng.next_double(), 1, 2000);
    for (size_t i = 0; i < arrivals.size(); ++i) {  // bursts: many at one moment
      if (rng.next() % 3 == 0 && i > 0) arrivals[i].time = arrivals[i - 1].time;
    }
    std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) { return a.time < b.time; });
    const Outcome out = simulate(batcher, arrivals);
    EXPECT_EQ(out.stats.items, 300u);
    EXPECT_LE(out.longest_wait, max_wait + 1e-9);
    ASSERT_FALSE(HasFailure());
  }
}

TEST(AdaptiveBatcher, ABurstIsBatchedAndItsEndIsNotWaitedFor) {
  AdaptiveBatcher batcher({.max_batch = 16});
  std::vector<Arrival> arrivals;
  for (size_t burst = 0; burst < 30; ++burst) {
    for (size_t i = 0; i < 40; ++i) arrivals.push_back({static_cast<double>(burst), 50});
  }
  const Outcome out = simulate(batcher, arrivals);
  EXPECT_EQ(out.largest, 16u);
  EXPECT_GT(out.stats.mean_size, 8);
  EXPECT_LE(out.longest_wait, 0.05 + 1e-9);
}

// By hand: a batch of 10 and 16 and one of 100, which came in the order 10, 100, 16.
TEST(AdaptiveBatcher, CountsThePaddingOfEnginesThatPad) {
  AdaptiveBatcher batcher({.max_batch = 2, .max_wait_s = 1});
  batcher.add(1, 10, 0);
  batcher.add(2, 100, 0.25);
  batcher.add(3, 16, 0.5);
  EXPECT_EQ(batcher.take(0.5, false), (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(batcher.take(2.25, false), std::vector<uint64_t>{2});
  const BatcherStats s = batcher.stats();
  EXPECT_EQ(s.batches, 2u);
  EXPECT_EQ(s.items, 3u);
  EXPECT_EQ(s.tokens, 126u);
  EXPECT_EQ(s.mixed_padding, 90u);  // 10 beside 100
  EXPECT_EQ(s.bucket_padding, 6u);  // 10 beside 16
  EXPECT_DOUBLE_EQ(s.mean_wait_s, 2.5 / 3);
  EXPECT_DOUBLE_EQ(s.mean_size, 1.5);
}

}  // namespace
}  // namespace quern
