#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

constexpr SchedulerLimits kLimits{.max_tokens = 512, .max_slots = 4, .page_tokens = 64, .ageing_s = 10};

RunningSequence prompt(uint64_t request, size_t index, size_t n_computed, size_t remaining) {
  return {.request = request,
          .index = index,
          .n_computed = n_computed,
          .remaining = remaining,
          .n_pages = (n_computed + 63) / 64,
          .own_pages = (n_computed + 63) / 64};
}

RunningSequence decoder(uint64_t request, size_t index, size_t n_computed) {
  RunningSequence s = prompt(request, index, n_computed, 1);
  s.decoding = true;
  return s;
}

Plan planned(const SchedulerInput& input) {
  Plan plan;
  plan_step(input, plan);
  return plan;
}

using Ids = std::vector<uint64_t>;

std::vector<std::pair<size_t, size_t>> chunks(const Plan& plan) {
  std::vector<std::pair<size_t, size_t>> all;
  for (const Scheduled& c : plan.chunks) all.emplace_back(c.index, c.n_tokens);
  return all;
}

using Chunks = std::vector<std::pair<size_t, size_t>>;

TEST(Scheduler, NothingToDo) {
  const Plan plan = planned({.limits = kLimits});
  EXPECT_FALSE(plan.changes());
  EXPECT_TRUE(plan.chunks.empty());
}

TEST(Scheduler, DecodesFirstThenPromptsInOrder) {
  const RunningSequence running[] = {prompt(1, 0, 0, 700), decoder(2, 1, 100), prompt(3, 2, 0, 50), decoder(4, 3, 100)};
  const Plan plan = planned({.limits = kLimits, .prompt_budget = 1000, .free_pages = 100, .running = running});
  EXPECT_FALSE(plan.changes());
  EXPECT_EQ(chunks(plan), (Chunks{{1, 1}, {3, 1}, {0, 460}, {2, 50}}));
}

TEST(Scheduler, PromptsKeepToTheirBudgetBesideDecodersOnly) {
  const RunningSequence running[] = {prompt(1, 0, 0, 700), decoder(2, 1, 100)};
  const SchedulerInput input{.limits = kLimits, .prompt_budget = 16, .free_pages = 100, .running = running};
  EXPECT_EQ(chunks(planned(input)), (Chunks{{1, 1}, {0, 16}}));
  SchedulerInput alone = input;
  alone.running = std::span(running).first(1);
  EXPECT_EQ(chunks(planned(alone)), (Chunks{{0, 512}}));
  RunningSequence paused[] = {running[0], running[1]};
  paused[1].paused = true;
  alone.running = paused;
  EXPECT_EQ(chunks(planned(alone)), (Chunks{{0, 512}})) << "nobody streams";
}

TEST(Scheduler, ALongPromptLeavesAQuarterToTheNext) {
  RunningSequence running[] = {prompt(1, 0, 64, 8000), prompt(2, 1, 0, 200), decoder(3, 2, 100)};
  SchedulerInput input{.limits = kLimits, .prompt_budget = 40, .free_pages = 1000, .running = running};
  EXPECT_EQ(chunks(planned(input)), (Chunks{{2, 1}, {0, 30}, {1, 10}}));
  running[1].remaining = 3;  // the first takes back what is left over
  EXPECT_EQ(chunks(planned(input)), (Chunks{{2, 1}, {0, 37}, {1, 3}}));
  running[1].remaining = 200;
  running[1].priority = -1;  // not to a lower priority
  EXPECT_EQ(chunks(planned(input)), (Chunks{{2, 1}, {0, 40}}));
}

TEST(Scheduler, ShortPromptsHaveABudgetOfTheirOwn) {
  RunningSequence running[] = {prompt(1, 0, 64, 8000), prompt(2, 1, 0, 30), prompt(3, 2, 0, 30), decoder(4, 3, 100)};
  running[1].short_prompt = running[2].short_prompt = true;
  SchedulerInput input{
      .limits = kLimits, .prompt_budget = 4, .short_budget = 50, .free_pages = 1000, .running = running};
  EXPECT_EQ(chunks(planned(input)), (Chunks{{3, 1}, {0, 3}, {1, 30}, {2, 17}})) << "50 in all, of the long one 3";
  const std::span<const RunningSequence> short_ones = std::span(running).subspan(1);
  input.running = short_ones;
  EXPECT_EQ(chunks(planned(input)), (Chunks{{3, 1}, {1, 30}, {2, 20}}));
  input.short_budget = 0;  // never less than what any prompt may have
  EXPECT_EQ(chunks(planned(input)), (Chunks{{3, 1}, {1, 3}, {2, 1}}));
  input.short_budget = 10000;  // nor more than the forward
  running[2].remaining = 1000;
  EXPECT_EQ(chunks(planned(input)), (Chunks{{3, 1}, {1, 30}, {2, 481}}));
}

TEST(Scheduler, ChunksKeepToThePagesThatAreFree) {
  // 10 tokens fit the page that it has, two more pages are free, and the decoder needs one of them.
  const RunningSequence running[] = {prompt(1, 0, 54, 300), decoder(2, 1, 128)};
  const SchedulerInput input{.limits = kLimits, .prompt_budget = 500, .free_pages = 2, .running = running};
  EXPECT_EQ(chunks(planned(input)), (Chunks{{1, 1}, {0, 74}}));
}

TEST(Scheduler, ASharedTailIsCopiedFirst) {
  RunningSequence running[] = {prompt(1, 0, 54, 300)};
  running[0].shared_tail = true;
  const SchedulerInput input{.limits = kLimits, .free_pages = 1, .running = running};
  EXPECT_EQ(chunks(planned(input)), (Chunks{{0, 10}}));
}

TEST(Scheduler, AdmitsByPriorityThenWorkThenArrival) {
  const QueuedRequest queued[] = {{.id = 1, .tenant = 0, .priority = 5, .arrival = 1, .n_tokens = 10},
                                  {.id = 2, .tenant = 1, .priority = 5, .arrival = 3, .n_tokens = 10},
                                  {.id = 3, .tenant = 0, .priority = 5, .arrival = 0, .n_tokens = 10},
                                  {.id = 4, .tenant = 0, .priority = 6, .arrival = 4, .n_tokens = 10}};
  const double work[] = {5, 2};
  const SchedulerInput input{.now = 5, .limits = kLimits, .free_pages = 100, .queued = queued, .tenants = work};
  EXPECT_EQ(planned(input).admit, (Ids{4, 2, 3, 1}));
}

// All the prompts that a tenant gets in count at once: the other's turn comes after each.
TEST(Scheduler, AdmissionAlternatesBetweenTenants) {
  std::vector<QueuedRequest> queued;
  for (uint64_t i = 0; i < 4; ++i) queued.push_back({.id = i, .tenant = 0, .n_tokens = 100});
  for (uint64_t i = 10; i < 14; ++i) queued.push_back({.id = i, .tenant = 1, .arrival = 1, .n_tokens = 100});
  const double work[] = {0, 0};
  const SchedulerInput input{.now = 1, .limits = kLimits, .free_pages = 100, .queued = queued, .tenants = work};
  EXPECT_EQ(planned(input).admit, (Ids{0, 10, 1, 11}));
}

TEST(Scheduler, PrioritiesAge) {
  const QueuedRequest queued[] = {{.id = 1, .priority = 3, .arrival = 80, .n_tokens = 10},
                                  {.id = 2, .priority = 1, .arrival = 55, .n_tokens = 10}};
  SchedulerInput input{.now = 85, .limits = kLimits, .free_pages = 100, .queued = queued};
  EXPECT_EQ(planned(input).admit, (Ids{2, 1}));
  input.limits.ageing_s = 0;
  EXPECT_EQ(planned(input).admit, (Ids{1, 2}));
}

TEST(Scheduler, ABigRequestIsNotPassedBySmallOnesButAHeldOneIs) {
  const RunningSequence running[] = {decoder(9, 0, 100)};
  QueuedRequest queued[] = {{.id = 1, .n_tokens = 64 * 10}, {.id = 2, .arrival = 1, .n_tokens = 10}};
  const SchedulerInput input{.now = 2, .limits = kLimits, .free_pages = 8, .queued = queued, .running = running};
  EXPECT_TRUE(planned(input).admit.empty());
  queued[0].held = true;
  EXPECT_EQ(planned(input).admit, Ids{2});
}

TEST(Scheduler, AdmissionKeepsAReserve) {
  // 4 pages for the prompt, one for what it decodes and one for each decoder: 7.
  const RunningSequence running[] = {decoder(8, 0, 100), decoder(9, 1, 100)};
  const QueuedRequest queued[] = {{.id = 1, .n_tokens = 256}};
  SchedulerInput input{.limits = kLimits, .free_pages = 6, .queued = queued, .running = running};
  EXPECT_TRUE(planned(input).admit.empty());
  input.free_pages = 7;
  EXPECT_EQ(planned(input).admit, Ids{1});
  // Kept pages help only where somebody holds them anyway: the others are counted among the free ones.
  QueuedRequest cached[] = {{.id = 1, .n_tokens = 256, .n_cached = 192}};
  input.queued = cached;
  input.free_pages = 6;
  EXPECT_TRUE(planned(input).admit.empty());
  cached[0].cached_in_use = 3;
  EXPECT_EQ(planned(input).admit, Ids{1});
}

TEST(Scheduler, AloneARequestNeedsNoReserveAndIsRefusedIfThePoolIsTooSmall) {
  const QueuedRequest queued[] = {{.id = 1, .n_tokens = 256}, {.id = 2, .n_tokens = 10, .n_slots = 5}};
  SchedulerInput input{.limits = kLimits, .free_pages = 4, .queued = queued};
  EXPECT_EQ(planned(input).admit, Ids{1});
  input.free_pages = 3;
  EXPECT_EQ(planned(input).refuse, (Ids{1, 2})) << "too many pages, too many samples";
}

TEST(Scheduler, AHigherPriorityTakesTheSlotOfTheYoungestOfTheLowest) {
  RunningSequence running[] = {decoder(1, 0, 100), decoder(2, 1, 100), decoder(3, 2, 100), decoder(4, 3, 100)};
  for (size_t i = 0; i < 4; ++i) running[i].priority = i == 0 ? 5 : 3, running[i].arrival = static_cast<double>(i % 3);
  QueuedRequest queued[] = {{.id = 9, .priority = 4, .arrival = 4, .n_tokens = 64}};
  SchedulerInput input{.now = 4, .limits = kLimits, .free_pages = 100, .queued = queued, .running = running};
  const Plan plan = planned(input);
  EXPECT_EQ(plan.preempt, Ids{3});
  EXPECT_TRUE(plan.admit.empty()) << "the next plan does";
  EXPECT_EQ(chunks(plan), (Chunks{{0, 1}, {3, 1}, {1, 1}})) << "only what stays, the best first";
  queued[0].priority = 3;
  EXPECT_FALSE(planned(input).changes()) << "never an equal one";
  queued[0].priority = 4;
  input.now = 25;  // those that run have aged, too
  EXPECT_FALSE(planned(input).changes());
}

TEST(Scheduler, NobodyIsPreemptedInVain) {
  RunningSequence running[] = {decoder(1, 0, 100), decoder(2, 1, 100)};
  running[0].priority = 9;
  const QueuedRequest queued[] = {{.id = 9, .priority = 5, .n_tokens = 64 * 20}};
  const SchedulerInput input{.limits = kLimits, .free_pages = 10, .queued = queued, .running = running};
  EXPECT_FALSE(planned(input).changes());
}

TEST(Scheduler, WhenPagesRunOutTheLatestOfTheLowestGivesUpItsOwn) {
  RunningSequence running[] = {decoder(1, 0, 128), decoder(2, 1, 128), decoder(3, 2, 128), prompt(4, 3, 70, 100)};
  running[0].arrival = 3, running[1].arrival = 2, running[2].arrival = 1;
  running[3].priority = 1;
  SchedulerInput input{.now = 4, .limits = kLimits, .free_pages = 0, .running = running};
  EXPECT_EQ(planned(input).preempt, Ids{1}) << "its two pages are enough for the others";
  running[1].paused = true;
  running[0].arrival = 0;
  EXPECT_EQ(planned(input).preempt, Ids{2}) << "paused ones first";
}

TEST(Scheduler, TheBestPromptAdvancesAtTheCostOfWorse) {
  RunningSequence running[] = {decoder(1, 0, 100), prompt(2, 1, 128, 100), prompt(3, 2, 128, 100)};
  running[0].arrival = 1, running[1].arrival = 2, running[2].arrival = 3;
  const SchedulerInput input{.now = 4, .limits = kLimits, .prompt_budget = 8, .free_pages = 0, .running = running};
  EXPECT_EQ(planned(input).preempt, Ids{3});
}

TEST(Scheduler, TheLastIsNotPreemptedButRefused) {
  const RunningSequence running[] = {decoder(1, 0, 128)};
  const Plan plan = planned({.limits = kLimits, .free_pages = 0, .running = running});
  EXPECT_TRUE(plan.preempt.empty());
  EXPECT_EQ(plan.refuse, Ids{1});
}

TEST(Scheduler, DeadlinesEndQueuedAndRunningRequests) {
  RunningSequence running[] = {decoder(1, 0, 100), decoder(1, 1, 100), decoder(2, 2, 100)};
  running[0].deadline = running[1].deadline = 5;
  const QueuedRequest queued[] = {{.id = 3, .deadline = 4.5, .n_tokens = 1}, {.id = 4, .deadline = 6, .n_tokens = 1}};
  const SchedulerInput input{.now = 5, .limits = kLimits, .free_pages = 100, .queued = queued, .running = running};
  const Plan plan = planned(input);
  EXPECT_EQ(plan.expire, (Ids{1, 3}));
  EXPECT_EQ(chunks(plan), (Chunks{{2, 1}}));
}

TEST(Scheduler, ATenantThatComesBackHasNoCredit) {
  const double active[] = {700, 400};
  EXPECT_EQ(lift_tenant(100, active), 400);
  EXPECT_EQ(lift_tenant(500, active), 500);
  EXPECT_EQ(lift_tenant(100, {}, 900), 900);
  EXPECT_EQ(lift_tenant(100, {}), 100);
}

}  // namespace
}  // namespace quern
