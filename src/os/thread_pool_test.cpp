#include "os/thread_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <numeric>

namespace quern {
namespace {

TEST(ThreadPool, RunsEveryUnitOnce) {
  for (unsigned threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (size_t n : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> hits(n);
      pool.parallel(n, [&](size_t unit, unsigned worker) {
        EXPECT_LT(worker, threads);
        hits[unit].fetch_add(1);
      });
      for (auto& h : hits) EXPECT_EQ(h.load(), 1);
    }
  }
}

TEST(ThreadPool, ManySmallJobsSeeTheirOwnData) {
  ThreadPool pool(4);
  for (size_t job = 0; job < 20000; ++job) {
    std::array<size_t, 8> out{};
    pool.parallel(out.size(), [&](size_t unit, unsigned) { out[unit] = job + unit; });
    for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], job + i);
  }
}

TEST(ThreadPool, WakesAfterSleep) {
  ThreadPool pool(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> sum{0};
    pool.parallel(100, [&](size_t unit, unsigned) { sum += static_cast<int>(unit); });
    EXPECT_EQ(sum.load(), 4950);
  }
}

TEST(ThreadPool, FewerActiveThreadsOnRequest) {
  ThreadPool pool(4);
  pool.set_active(2);
  pool.parallel(1000, [&](size_t, unsigned worker) { EXPECT_LT(worker, 2u); });
  pool.set_active(99);
  EXPECT_EQ(pool.active(), 4u);
}

}  // namespace
}  // namespace quern
