#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace quern {
namespace {

TEST(Scheduler, DecodesFirstThenPromptsInOrder) {
  const Waiting waiting[] = {{0, 700, false}, {1, 1, true}, {2, 50, false}, {3, 1, true}};
  std::vector<Scheduled> out;
  schedule(waiting, 512, out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].index, 1u);
  EXPECT_EQ(out[1].index, 3u);
  EXPECT_EQ(out[2].index, 0u);
  EXPECT_EQ(out[2].n_tokens, 510u);
}

TEST(Scheduler, SimulationEndsWithinTheBudgetAndStarvesNobody) {
  SplitMix64 rng(9);
  for (int round = 0; round < 200; ++round) {
    const size_t budget = 1 + rng.next() % 64;
    std::vector<Waiting> all;
    std::vector<size_t> to_decode;
    for (size_t i = 0; i < 1 + rng.next() % 12; ++i) {
      all.push_back({i, 1 + rng.next() % 200, false});
      to_decode.push_back(1 + rng.next() % 20);
    }
    std::vector<Scheduled> out;
    size_t steps = 0, work = 0;
    for (const Waiting& w : all) work += w.remaining + to_decode[w.index];
    for (;;) {
      bool left = false;
      for (const Waiting& w : all) left = left || w.remaining > 0;
      if (!left) break;
      schedule(all, budget, out);
      ASSERT_FALSE(out.empty());
      size_t total = 0;
      std::vector<bool> seen(all.size());
      for (const Scheduled& s : out) {
        ASSERT_FALSE(seen[s.index]);
        seen[s.index] = true;
        Waiting& w = all[s.index];
        ASSERT_LE(s.n_tokens, w.remaining);
        total += s.n_tokens;
        w.remaining -= s.n_tokens;
        if (w.remaining == 0 && to_decode[s.index] > 0) {
          --to_decode[s.index];
          w.decoding = true;
          w.remaining = 1;
        }
      }
      ASSERT_LE(total, budget);
      ASSERT_LE(++steps, work);
    }
  }
}

}  // namespace
}  // namespace quern
