#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(Scheduler, NothingToDo) {
  Plan plan;
  plan_step({.limits = {.max_tokens = 16, .max_slots = 2}}, plan);
  EXPECT_FALSE(plan.changes());
  EXPECT_TRUE(plan.chunks.empty());
}

}  // namespace
}  // namespace quern
