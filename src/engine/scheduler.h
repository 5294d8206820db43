// The scheduler: which requests get a slot, which give it up, and which tokens go into the next forward. A pure
// function of its input: no clock, no tensors, no state; any thread may call it. It cannot fail.
//
// Order. A request's effective priority is its priority, and one more for each `ageing_s` seconds since it arrived,
// without end. Turns go by the effective priority of the oldest request of the same priority, then to the tenant with
// less work done (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024: Virtual Token Counter), then by
// arrival. Nobody starves: a low priority overtakes in time, and within one the counters even out.
//
// The loop's part. While a plan changes anything (admit, preempt, expire, refuse), carry that out, ignore the chunks
// and plan again with the same `now`: an admitted request is a running sequence from then on. That ends after a few
// rounds: a plan that makes requests leave admits none, and what was admitted is not preempted again. What was
// preempted is not admitted again either, unless pages that it shared have become cheaper for those that left than
// could be told before, or one of them is held. Then compute the chunks. There are some whenever a sequence runs that
// is not paused. Paused ones keep slot and pages for as long as the caller and better ones let them, and requests of
// equal priority wait; a paused request that was preempted must be `held`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace quern {

// Waits for a slot, or was preempted and waits again.
struct QueuedRequest {
  uint64_t id = 0;
  uint32_t tenant = 0;  // index into SchedulerInput::tenants
  int priority = 0;
  double arrival = 0;  // seconds; a preempted request keeps its own
  double deadline = std::numeric_limits<double>::infinity();
  size_t n_tokens = 0;       // to compute before it decodes: prompt, plus output so far where it was preempted
  size_t n_cached = 0;       // of those, in kept pages that it will share
  size_t cached_in_use = 0;  // of those pages, held by running sequences; the others are counted in free_pages
  unsigned n_slots = 1;      // samples
  // Not in this step, in none of its plans: another request computes a prefix that it will share, or its reader is
  // slow.
  bool held = false;
};

// A prompt of no more tokens is worth a few longer gaps in the streams beside it: its client waits for a first token,
// which one or two tokens a step would put off by most of a second.
inline constexpr size_t kShortPrompt = 256;

// Holds a slot. A request has one of these until its prompt is read, then one for each sample.
struct RunningSequence {
  uint64_t request = 0;
  size_t index = 0;  // for the caller
  uint32_t tenant = 0;
  int priority = 0;
  double arrival = 0;
  double deadline = std::numeric_limits<double>::infinity();
  size_t n_computed = 0;
  size_t remaining = 0;  // tokens to compute: 1 when it decodes
  bool decoding = false;
  bool paused = false;
  bool short_prompt = false;  // had at most kShortPrompt tokens to compute when it was admitted
  size_t n_pages = 0;         // in its table
  bool shared_tail = false;   // the page that the next token goes to is shared: it must be copied first
  size_t own_pages = 0;       // that become free when its request is preempted; those of several samples count with one
  unsigned n_slots = 1;       // held: more than 1 before the prompt is read, for the samples that will begin then
};

struct SchedulerLimits {
  size_t max_tokens = 0;  // of one forward, >= 1
  size_t max_slots = 0;
  size_t page_tokens = 64;
  double ageing_s = 10;  // 0: no ageing
};

struct SchedulerInput {
  double now = 0;
  SchedulerLimits limits;
  size_t prompt_budget = 1;  // prompt tokens that this step may take while others decode (from StepCost), >= 1
  size_t short_budget = 0;   // with those of short prompts, where that is more
  size_t free_pages = 0;     // free or evictable at once; all of the pool when nothing runs
  std::span<const QueuedRequest> queued = {};
  std::span<const RunningSequence> running = {};
  std::span<const double> tenants = {};  // work done for each: tokens, weighted by the constants below
};

struct Scheduled {
  size_t index = 0;  // RunningSequence::index
  size_t n_tokens = 0;
};

// Working memory of plan_step, kept in the plan so that a steady loop does not allocate.
struct PlanScratch {
  struct Group {  // the sequences of one running request
    uint64_t request = 0;
    int priority = 0;
    double rank = 0;  // effective priority
    double arrival = 0;
    bool paused = true;   // all of them, or nothing to compute
    bool prompt = false;  // one that is not paused reads its prompt
    bool gone = false;    // expires or is preempted
    size_t slots = 0;
    size_t own_pages = 0;
    size_t pages_to_come = 0;     // until its prompt is read, and one of reserve for each decoder
    size_t pages_now = 0;         // for the next token of its decoders
    size_t prompt_pages_now = 0;  // for one token of its prompt
  };
  struct Class {
    int priority = 0;
    double oldest = 0;  // arrival
  };
  std::vector<Group> groups;
  std::vector<Class> classes;
  std::vector<uint32_t> group_of;  // by running sequence
  std::vector<uint32_t> line;      // prompts by turn
  std::vector<uint32_t> decoders;  // running sequences
  std::vector<uint32_t> victims;   // groups, in the order in which they were chosen
  std::vector<char> queued_done;   // by queued request
  std::vector<double> work;        // by tenant
};

struct Plan {
  std::vector<Scheduled> chunks;  // only of running sequences that stay
  std::vector<uint64_t> admit;    // requests, in this order
  std::vector<uint64_t> preempt;  // requests whose sequences give up all pages and wait again
  std::vector<uint64_t> expire;   // deadline passed, queued or running
  std::vector<uint64_t> refuse;   // alone, and the pool is still too small; or more samples than there are slots
  PlanScratch scratch;

  [[nodiscard]] bool changes() const {
    return !admit.empty() || !preempt.empty() || !expire.empty() || !refuse.empty();
  }
};

// Writes to `out` and reuses its vectors. Chunks never exceed max_tokens in all, or free_pages in the pages that they
// need; a sequence has at most one. Decoders first, one token each, so that no prompt stalls a stream; prompts share
// the rest within prompt_budget, short ones within short_budget, and get at least one token.
void plan_step(const SchedulerInput& input, Plan& out);

// What a token adds to the work of its tenant. A cached one adds nothing.
inline constexpr double kPromptTokenWork = 1, kDecodedTokenWork = 2;

// The work of a tenant that comes back from idle: never less than the least of the active tenants (those with requests
// queued or running, itself excluded), nor, where there is none, than that of the one that went idle last. Idle time
// saves up no credit with which to block the others later.
double lift_tenant(double own, std::span<const double> active, double last_active = 0);

}  // namespace quern
