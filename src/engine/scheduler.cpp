#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

namespace quern {
namespace {

using Group = PlanScratch::Group;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

size_t minus(size_t a, size_t b) {
  return a > b ? a - b : 0;
}

// Pages that `n` more tokens of a sequence take.
size_t pages_for(const RunningSequence& s, size_t n, size_t page) {
  return minus((s.n_computed + n + page - 1) / page, s.n_pages) + (s.shared_tail ? 1 : 0);
}

// Tokens that a sequence can take with `pages` more.
size_t tokens_within(const RunningSequence& s, size_t pages, size_t page) {
  if (s.shared_tail) {
    if (pages == 0) return 0;
    --pages;
  }
  const size_t need = (s.remaining + s.n_computed + page - 1) / page;  // keeps the product small
  return std::min(s.remaining, minus(std::min(s.n_pages + pages, need) * page, s.n_computed));
}

// Pages that a request with so many samples will want soon after its prompt: the next one for each, and for all but one
// a copy of the prompt's last. Admission sets them aside, or the first step would have to preempt somebody.
size_t reserve(size_t n_slots) {
  return 2 * std::max<size_t>(1, n_slots) - 1;
}

// Writes one plan; lives as long as one call of plan_step.
class Planner {
 public:
  Planner(const SchedulerInput& input, Plan& out)
      : in_(input), out_(out), x_(out.scratch), page_(std::max<size_t>(1, input.limits.page_tokens)) {}

  void run() {
    clear();
    group_running();
    expire();
    make_room_for_decoders();
    make_room_for_a_prompt();
    const bool leaving = std::any_of(x_.groups.begin(), x_.groups.end(), [](const Group& g) { return g.gone; });
    // Nobody is admitted by a plan that makes others leave: only the next one knows what has become of shared pages.
    if (!leaving) admit();
    fill();
  }

 private:
  void clear() {
    out_.chunks.clear();
    out_.admit.clear();
    out_.preempt.clear();
    out_.expire.clear();
    out_.refuse.clear();
    x_.groups.clear();
    x_.group_of.clear();
    x_.victims.clear();
    x_.queued_done.assign(in_.queued.size(), 0);
    free_ = in_.free_pages;
  }

  [[nodiscard]] double rank(int priority, double arrival) const {
    const double age = in_.limits.ageing_s;
    return priority + (age > 0 ? std::floor(std::max(0.0, in_.now - arrival) / age) : 0);
  }

  // Turns go by the class of a base priority, which ages by its oldest member. If each request aged alone, the queue of
  // a tenant that floods would soon outrank what others send with the same priority, and fairness would end there.
  void join_class(int priority, double arrival) {
    for (PlanScratch::Class& c : x_.classes) {
      if (c.priority != priority) continue;
      c.oldest = std::min(c.oldest, arrival);
      return;
    }
    x_.classes.push_back({priority, arrival});
  }

  [[nodiscard]] double class_rank(int priority) const {
    for (const PlanScratch::Class& c : x_.classes) {
      if (c.priority == priority) return rank(priority, c.oldest);
    }
    return priority;
  }

  [[nodiscard]] double work(uint32_t tenant) const { return tenant < in_.tenants.size() ? in_.tenants[tenant] : 0; }

  [[nodiscard]] bool stays(size_t sequence) const { return !x_.groups[x_.group_of[sequence]].gone; }

  void group_running() {
    for (const RunningSequence& s : in_.running) {
      uint32_t g = static_cast<uint32_t>(x_.groups.size());
      while (g > 0 && x_.groups[g - 1].request != s.request) --g;  // a few dozen at most, the last one as a rule
      if (g == 0) {
        x_.groups.push_back(
            {.request = s.request, .priority = s.priority, .rank = rank(s.priority, s.arrival), .arrival = s.arrival});
        g = static_cast<uint32_t>(x_.groups.size());
      }
      x_.group_of.push_back(--g);
      Group& group = x_.groups[g];
      group.slots += s.n_slots;
      group.own_pages += s.own_pages;
      group.pages_to_come += s.decoding ? 1 : pages_for(s, s.remaining, page_) + reserve(s.n_slots);
      if (s.paused || s.remaining == 0) continue;
      group.paused = false;
      const size_t pages = pages_for(s, 1, page_);
      if (s.decoding) {
        group.pages_now += pages;
      } else {
        group.prompt_pages_now = group.prompt ? std::min(group.prompt_pages_now, pages) : pages;
        group.prompt = true;
      }
    }
  }

  void leave(Group& group) {
    group.gone = true;
    free_ += group.own_pages;
  }

  void stay(Group& group) {
    group.gone = false;
    free_ -= group.own_pages;
  }

  void expire() {
    for (size_t i = 0; i < in_.running.size(); ++i) {
      if (in_.running[i].deadline > in_.now || !stays(i)) continue;
      leave(x_.groups[x_.group_of[i]]);
      out_.expire.push_back(in_.running[i].request);
    }
    for (size_t i = 0; i < in_.queued.size(); ++i) {
      if (in_.queued[i].deadline > in_.now) continue;
      x_.queued_done[i] = 1;
      out_.expire.push_back(in_.queued[i].id);
    }
  }

  // a goes before b: it is the last to give up its pages.
  [[nodiscard]] static bool better(const Group& a, const Group& b) {
    if (a.rank != b.rank) return a.rank > b.rank;
    if (a.paused != b.paused) return b.paused;
    if (a.arrival != b.arrival) return a.arrival < b.arrival;
    return a.request < b.request;
  }

  // The best or the worst of the groups that stay and are `among`; kNone where there is none.
  template <typename Among>
  [[nodiscard]] uint32_t pick(bool best, Among among) const {
    uint32_t found = kNone;
    for (uint32_t g = 0; g < x_.groups.size(); ++g) {
      if (x_.groups[g].gone || !among(x_.groups[g])) continue;
      if (found == kNone || better(x_.groups[g], x_.groups[found]) == best) found = g;
    }
    return found;
  }

  // Makes groups that are `among` leave, the worst first, until `fits()`. False where all of them are not enough.
  template <typename Among, typename Fits>
  bool displace(Among among, Fits fits) {
    while (!fits()) {
      const uint32_t g = pick(false, among);
      if (g == kNone) return false;
      leave(x_.groups[g]);
      x_.victims.push_back(g);
    }
    return true;
  }

  // Preempts the victims but for those that turned out not to matter: whoever leaves was needed, and so does not fit
  // again at once. None stays that a better one which had to leave could displace from the queue in the next plan.
  template <typename Fits>
  void preempt_victims(Fits fits) {
    int highest = std::numeric_limits<int>::min();  // priority of those that leave
    const bool enough = fits();
    for (size_t i = x_.victims.size(); i-- > 0;) {
      Group& group = x_.groups[x_.victims[i]];
      stay(group);
      if (enough && fits() && group.rank >= highest) continue;
      leave(group);
      highest = std::max(highest, group.priority);
    }
    for (uint32_t g : x_.victims) {
      if (x_.groups[g].gone) out_.preempt.push_back(x_.groups[g].request);
    }
    x_.victims.clear();
  }

  template <typename Value>
  [[nodiscard]] size_t sum(Value Group::* member) const {
    size_t total = 0;
    for (const Group& g : x_.groups) total += g.gone ? 0 : g.*member;
    return total;
  }

  // Every decoder needs its next token's page at once. The best group that can be computed always stays.
  void make_room_for_decoders() {
    const uint32_t kept = pick(true, [](const Group& g) { return !g.paused; });
    if (kept == kNone) return;
    const auto fits = [&] { return sum(&Group::pages_now) <= free_; };
    displace([&](const Group& g) { return &g != &x_.groups[kept]; }, fits);
    preempt_victims(fits);
  }

  // The best prompt advances: at the cost of worse groups, and of paused ones, which lose no time by it.
  void make_room_for_a_prompt() {
    const uint32_t kept = pick(true, [](const Group& g) { return g.prompt; });
    if (kept == kNone) return;
    const Group& prompt = x_.groups[kept];
    const auto fits = [&] { return sum(&Group::pages_now) + prompt.prompt_pages_now <= free_; };
    displace([&](const Group& g) { return &g != &prompt && (g.paused || better(prompt, g)); }, fits);
    preempt_victims(fits);
  }

  // Pages that the tokens of a queued request take out of free_pages: the kept ones too that nobody holds now.
  [[nodiscard]] size_t pages_of(const QueuedRequest& q) const {
    const size_t copied_tail = q.n_cached % page_ != 0 ? 1 : 0;
    return minus((q.n_tokens + page_ - 1) / page_ + copied_tail, q.cached_in_use);
  }

  void admit() {
    if (in_.queued.empty()) return;
    // A tenant is charged for a prompt when it is admitted, so that those admitted together count.
    x_.work.assign(in_.tenants.begin(), in_.tenants.end());
    for (size_t i = 0; i < in_.running.size(); ++i) {
      const RunningSequence& s = in_.running[i];
      if (stays(i) && !s.decoding) charge(s.tenant, s.remaining);
    }
    for (size_t i = head_of_queue(); i != in_.queued.size() && place(in_.queued[i]); i = head_of_queue()) {
      x_.queued_done[i] = 1;
    }
    if (x_.victims.empty()) return;
    preempt_victims([&] { return fits(0, 0); });
    out_.admit.clear();
    admitted_pages_ = 0;
  }

  // With what has been admitted, and so much more.
  [[nodiscard]] bool fits(size_t slots, size_t pages) const {
    return sum(&Group::slots) + admitted_slots_ + slots <= in_.limits.max_slots &&
           sum(&Group::pages_to_come) + admitted_pages_ + pages <= free_;
  }

  void charge(uint32_t tenant, size_t n_tokens) {
    if (tenant < x_.work.size()) x_.work[tenant] += kPromptTokenWork * static_cast<double>(n_tokens);
  }

  [[nodiscard]] bool ahead(const QueuedRequest& a, const QueuedRequest& b) const {
    const double rank_a = class_rank(a.priority), rank_b = class_rank(b.priority);
    if (rank_a != rank_b) return rank_a > rank_b;
    const double work_a = a.tenant < x_.work.size() ? x_.work[a.tenant] : 0;
    const double work_b = b.tenant < x_.work.size() ? x_.work[b.tenant] : 0;
    if (work_a != work_b) return work_a < work_b;
    if (a.arrival != b.arrival) return a.arrival < b.arrival;
    return a.id < b.id;
  }

  [[nodiscard]] bool eligible(size_t i) const { return !x_.queued_done[i] && !in_.queued[i].held; }

  // Whoever is chosen for its tenant's sake must not be one that a request still queued could displace in the next
  // plan.
  [[nodiscard]] size_t head_of_queue() {
    x_.classes.clear();
    int highest = std::numeric_limits<int>::min();
    for (size_t i = 0; i < in_.queued.size(); ++i) {
      if (!eligible(i)) continue;
      join_class(in_.queued[i].priority, in_.queued[i].arrival);
      highest = std::max(highest, in_.queued[i].priority);
    }
    size_t head = in_.queued.size();
    for (size_t i = 0; i < in_.queued.size(); ++i) {
      const QueuedRequest& q = in_.queued[i];
      if (!eligible(i) || rank(q.priority, q.arrival) < highest) continue;
      if (head == in_.queued.size() || ahead(q, in_.queued[head])) head = i;
    }
    return head;
  }

  // Admits the head of the queue, or refuses it; false where it has to wait, and all behind it with it: a big request
  // would never find its pages if small ones could always pass.
  bool place(const QueuedRequest& q) {
    if (q.n_slots > in_.limits.max_slots) return out_.refuse.push_back(q.id), true;
    // Once somebody had to leave, only those that come before them in the queue may be admitted.
    for (uint32_t g : x_.victims) {
      if (x_.groups[g].rank >= q.priority) return false;
    }
    const size_t pages = pages_of(q), wanted = pages + reserve(q.n_slots);
    if (in_.running.empty() && out_.admit.empty()) {  // alone: no reserve
      // Samples may turn out to share what was counted for each; refused only if not one would fit.
      if (pages / std::max(1u, q.n_slots) > free_) return out_.refuse.push_back(q.id), true;
    } else if (!fits(q.n_slots, wanted) && !make_room_for(q, wanted)) {
      return false;
    }
    out_.admit.push_back(q.id);
    admitted_slots_ += q.n_slots;
    admitted_pages_ += wanted;
    charge(q.tenant, minus(q.n_tokens, q.n_cached));
    return true;
  }

  bool make_room_for(const QueuedRequest& q, size_t pages) {
    // Nobody leaves on an estimate: requests that are admitted together may share pages that were counted for each.
    if (!out_.admit.empty() && x_.victims.empty()) return false;
    const size_t n_victims = x_.victims.size();
    const auto below = [&](const Group& g) { return g.rank < q.priority; };
    if (displace(below, [&] { return fits(q.n_slots, pages); })) return true;
    for (size_t i = n_victims; i < x_.victims.size(); ++i) stay(x_.groups[x_.victims[i]]);
    x_.victims.resize(n_victims);
    return false;
  }

  void fill() {
    collect();
    tokens_left_ = std::max<size_t>(1, in_.limits.max_tokens);
    pages_left_ = minus(free_, admitted_pages_);
    const size_t kept_for_prompts = x_.line.empty() || tokens_left_ == 1 ? 0 : 1;
    const size_t n_decoders = fill_decoders(0, kept_for_prompts);
    if (x_.decoders.empty()) {
      fill_prompts(tokens_left_, tokens_left_);
    } else {
      const size_t budget = std::min(tokens_left_, std::max<size_t>(1, in_.prompt_budget));
      fill_prompts(budget, std::max(budget, std::min(tokens_left_, in_.short_budget)));
    }
    fill_decoders(n_decoders, 0);
    if (out_.chunks.empty() && !out_.changes()) refuse_what_is_stuck();
  }

  void take(const RunningSequence& s, size_t n) {
    pages_left_ -= pages_for(s, n, page_);
    tokens_left_ -= n;
    out_.chunks.push_back({s.index, n});
  }

  // A token for each decoder from the `first` on, until no more than `keep` tokens are left; returns where it stopped.
  size_t fill_decoders(size_t first, size_t keep) {
    for (; first < x_.decoders.size() && tokens_left_ > keep; ++first) {
      const RunningSequence& s = in_.running[x_.decoders[first]];
      if (tokens_within(s, pages_left_, page_) > 0) take(s, 1);
    }
    return first;
  }

  // Sorts the sequences that can be computed into decoders and prompts by turn.
  void collect() {
    x_.decoders.clear();
    x_.line.clear();
    x_.classes.clear();
    for (uint32_t i = 0; i < in_.running.size(); ++i) {
      const RunningSequence& s = in_.running[i];
      if (!stays(i) || s.paused || s.remaining == 0) continue;
      (s.decoding ? x_.decoders : x_.line).push_back(i);
      if (!s.decoding) join_class(s.priority, s.arrival);
    }
    const auto group = [&](uint32_t i) -> const Group& { return x_.groups[x_.group_of[i]]; };
    std::sort(x_.decoders.begin(), x_.decoders.end(),
              [&](uint32_t a, uint32_t b) { return &group(a) == &group(b) ? a < b : better(group(a), group(b)); });
    std::sort(x_.line.begin(), x_.line.end(), [&](uint32_t a, uint32_t b) {
      const Group &ga = group(a), &gb = group(b);
      if (&ga == &gb) return a < b;
      const double rank_a = class_rank(in_.running[a].priority), rank_b = class_rank(in_.running[b].priority);
      if (rank_a != rank_b) return rank_a > rank_b;
      const double work_a = work(in_.running[a].tenant), work_b = work(in_.running[b].tenant);
      if (work_a != work_b) return work_a < work_b;
      return ga.arrival != gb.arrival ? ga.arrival < gb.arrival : ga.request < gb.request;
    });
  }

  // Prompts in order of their turn. One that takes more than this step leaves a quarter to the next in line: a question
  // of 200 tokens behind a document of 8,000 would else wait for seconds with nothing to show, while the document loses
  // a quarter of its speed for a moment. The first takes back what the others cannot use. `total` bounds all of them,
  // `budget` <= total the tokens after which a long one gets no more.
  void fill_prompts(size_t budget, size_t total) {
    if (x_.line.empty()) return;
    const RunningSequence& first = in_.running[x_.line.front()];
    size_t share = 0;
    if (x_.line.size() > 1 && first.remaining > budget && budget > 1) {
      const RunningSequence& second = in_.running[x_.line[1]];
      if (second.priority >= first.priority) share = std::min(second.remaining, std::max<size_t>(1, budget / 4));
    }
    const size_t first_chunk = out_.chunks.size();
    size_t first_tokens = 0;
    size_t taken = 0;
    const auto room = [&](const RunningSequence& s) { return minus(s.short_prompt ? total : budget, taken); };
    for (uint32_t i : x_.line) {
      const RunningSequence& s = in_.running[i];
      const size_t n = std::min(tokens_within(s, pages_left_, page_), minus(room(s), &s == &first ? share : 0));
      if (n == 0) continue;
      if (&s == &first) first_tokens = n;
      taken += n;
      take(s, n);
    }
    if (first_tokens == 0) return;
    const size_t pages = pages_left_ + pages_for(first, first_tokens, page_);
    const size_t n = std::min(tokens_within(first, pages, page_), first_tokens + room(first));
    pages_left_ = pages - pages_for(first, n, page_);
    tokens_left_ -= n - first_tokens;
    out_.chunks[first_chunk].n_tokens = n;
  }

  // Only the last group is ever left without pages, all others having given theirs up: the pool is too small for it.
  void refuse_what_is_stuck() {
    const std::vector<uint32_t>& stuck = x_.decoders.empty() ? x_.line : x_.decoders;
    if (!stuck.empty()) out_.refuse.push_back(in_.running[stuck.front()].request);
  }

  const SchedulerInput& in_;
  Plan& out_;
  PlanScratch& x_;
  const size_t page_;
  size_t free_ = 0;  // pages, those of groups that leave included
  size_t admitted_slots_ = 0, admitted_pages_ = 0;
  size_t tokens_left_ = 0, pages_left_ = 0;  // of the forward
};

}  // namespace

void plan_step(const SchedulerInput& input, Plan& out) {
  Planner(input, out).run();
}

double lift_tenant(double own, std::span<const double> active, double last_active) {
  if (active.empty()) return std::max(own, last_active);
  return std::max(own, *std::min_element(active.begin(), active.end()));
}

}  // namespace quern
