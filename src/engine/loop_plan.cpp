// What the loop tells the scheduler, and how it carries out what the scheduler decides before a forward.
#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "engine/loop.h"

namespace quern {

namespace {

// A plan that changes who runs is followed by another; one round settles it as a rule.
constexpr int kPlanRounds = 8;
// Requests whose prefixes are compared each step. Those beyond wait anyway.
constexpr size_t kCompared = 64;

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first -
                             a.begin());
}

double deadline_of(const Job& job) {
  return job.deadline > 0 ? job.deadline : std::numeric_limits<double>::infinity();
}

}  // namespace

uint32_t Loop::tenant_of(const std::string& name) {
  const auto [at, fresh] = tenants_.try_emplace(name, static_cast<uint32_t>(tenants_.size()));
  if (fresh) work_.push_back(0);
  return at->second;
}

// Whether a request that is being read, or that goes before this one, is about to store more of its prompt than is
// stored now: waiting for that is cheaper than computing it twice.
bool Loop::waits_for_prefix(const Job& job, size_t matched) const {
  const std::span<const int32_t> ids = job.sequences[0].ids;
  for (const auto& other : jobs_) {
    if (other.get() == &job) return false;  // later arrivals do not count
    if (other->tenant != job.tenant || other->prompt_read || other->paused || other->request.embed) continue;
    if (!other->admitted && other->request.priority < job.request.priority) continue;
    const size_t shared = std::min(common_prefix(other->sequences[0].ids, ids), ids.size() - 1);
    if (shared / kKvPageTokens > matched / kKvPageTokens) return true;
  }
  return false;
}

// Cached: in a steady state of decoding nothing of it changes.
void Loop::look_for_prefix(Job& job) {
  if (job.prefix.version == version_) return;
  const std::span<const int32_t> ids = job.sequences[0].ids;
  const auto before_last = ids.first(ids.size() - 1);  // as admit() will ask
  job.prefix = {.version = version_,
                .matched = prefixes_.matching(job.tenant, before_last),
                .in_use = prefixes_.pages_in_use(job.tenant, before_last)};
  job.prefix.held = waits_for_prefix(job, job.prefix.matched);
  if (!job.prefix.held) look_on_disk(job, job.prefix.matched);
}

void Loop::list_queued() {
  queued_.clear();
  size_t compared = 0;
  for (const auto& job : jobs_) {
    if (job->admitted) continue;
    QueuedRequest q{.id = job->id,
                    .tenant = job->tenant,
                    .priority = job->request.priority,
                    .arrival = job->submitted,
                    .deadline = deadline_of(*job),
                    .n_tokens = job->n_prompt,
                    .n_slots = static_cast<unsigned>(job->sequences.size()),
                    .held = job->paused};
    for (const Sequence& s : job->sequences) {
      q.n_tokens += s.completion.ids.size();
      if (s.done) --q.n_slots;
    }
    if (!job->request.embed && !job->request.options.prompt_logprobs && compared++ < kCompared) {
      look_for_prefix(*job);
      q.n_cached = job->prefix.matched;
      q.cached_in_use = job->prefix.in_use;
      q.held = q.held || job->prefix.held || job->fetch != nullptr;
    }
    queued_.push_back(q);
  }
}

// Pages that would become free if the request of this sequence gave them up: those that only its samples and the prefix
// index hold. What samples share counts with the first of them.
size_t Loop::own_pages(const Job& job, size_t index) const {
  const PagePool& pool = runner_.kv().pool();
  const std::span<const uint32_t> pages = job.sequences[index].pages.pages();
  size_t own = 0;
  for (size_t at = 0; at < pages.size(); ++at) {
    const uint32_t users = pool.references(pages[at]) - prefixes_.references(pages[at]);
    uint32_t ours = 1;  // of them, this and later samples, which have what they share at the same place
    for (size_t i = index + 1; i < job.sequences.size(); ++i) {
      const std::span<const uint32_t> theirs = job.sequences[i].pages.pages();
      ours += at < theirs.size() && theirs[at] == pages[at];
    }
    own += users == ours;
  }
  return own;
}

void Loop::list_running() {
  slots_.clear();
  running_.clear();
  for (const auto& job : jobs_) {
    if (!job->admitted) continue;
    for (size_t i = 0; i < job->sequences.size(); ++i) {
      if (!job->active(i)) continue;
      Sequence& s = job->sequences[i];
      running_.push_back({.request = job->id,
                          .index = slots_.size(),
                          .tenant = job->tenant,
                          .priority = job->request.priority,
                          .arrival = job->submitted,
                          .deadline = deadline_of(*job),
                          .n_computed = s.n_computed,
                          .remaining = s.remaining(),
                          .decoding = s.decoding() && s.remaining() == 1,
                          .paused = job->paused,
                          .short_prompt = s.n_to_read <= kShortPrompt,
                          .n_pages = s.pages.pages().size(),
                          .shared_tail = s.pages.is_shared(s.n_computed),
                          .own_pages = own_pages(*job, i),
                          .n_slots = job->prompt_read ? 1 : static_cast<unsigned>(job->sequences.size())});
      slots_.push_back({job.get(), &s});
    }
  }
}

void Loop::admit(Job& job) {
  job.admitted = true;
  const bool reuses = !job.request.embed && !job.request.options.prompt_logprobs;
  for (size_t i = 0; i < job.sequences.size(); ++i) {
    Sequence& s = job.sequences[i];
    s.n_to_read = s.remaining();
    if (!reuses || !job.active(i)) continue;
    // The last token is computed anew: its logits were not kept.
    PrefixIndex::Match match = prefixes_.find(job.tenant, std::span(s.ids).first(s.ids.size() - 1));
    s.n_computed = match.n_tokens;
    s.pages = std::move(match.pages);
    s.n_to_read = s.remaining();
    if (i == 0 && !job.prompt_read && job.started == 0) job.cached_tokens = match.n_tokens;
  }
  const double now = now_s();
  if (job.started != 0) return;  // it was preempted
  job.started = now;
  if (observer_ != nullptr) observer_->on_queued(now - job.submitted);
}

// Its pages go to the prefix index, which gives them up only as they are needed: where memory allows, nothing is
// computed again.
void Loop::preempt(Job& job) {
  for (Sequence& s : job.sequences) {
    keep_pages(job, s, 0, /*ended=*/true);
    s.pages.clear();
    s.n_computed = 0;
  }
  job.admitted = false;
  if (job.request.embed) job.state_sum.clear();
  job.prompt_logprobs.clear();
  ++preemptions_;
  if (observer_ != nullptr) observer_->on_preempted();
}

bool Loop::carry_out_changes() {
  const auto job_of = [this](RequestId id) {
    return std::find_if(jobs_.begin(), jobs_.end(), [id](const auto& j) { return j->id == id; })->get();
  };
  for (const RequestId id : plan_.expire) {
    Job& job = *job_of(id);
    size_t tokens = 0;
    for (const Sequence& s : job.sequences) tokens += s.completion.ids.size();
    job.error = Error{ErrorCode::kTimeout, fmt::format("the deadline of {} s passed after {} tokens of output",
                                                       job.request.deadline_s, tokens)};
  }
  for (const RequestId id : plan_.refuse) {
    job_of(id)->error = Error{ErrorCode::kResource, fmt::format("the KV cache of {} pages cannot hold the request",
                                                                runner_.kv().pool().n_pages())};
  }
  for (const RequestId id : plan_.preempt) preempt(*job_of(id));
  for (const RequestId id : plan_.admit) admit(*job_of(id));
  if (!plan_.expire.empty() || !plan_.refuse.empty()) end_jobs();
  if (plan_.changes()) ++version_;
  return plan_.changes();
}

void Loop::plan(double now) {
  for (int round = 0; round < kPlanRounds; ++round) {
    list_running();
    list_queued();
    const auto decoders = static_cast<size_t>(
        std::count_if(running_.begin(), running_.end(), [](const auto& r) { return r.decoding && !r.paused; }));
    const double short_stall = options_.max_itl_s > 0 ? options_.max_itl_s : cost_.short_stall_seconds(decoders);
    const PagePool& pool = runner_.kv().pool();
    plan_step({.now = now,
               .limits = {.max_tokens = runner_.max_tokens(),
                          .max_slots = options_.n_parallel,
                          .page_tokens = kKvPageTokens,
                          .ageing_s = options_.ageing_s},
               .prompt_budget = cost_.prompt_budget(decoders, options_.max_itl_s, runner_.max_tokens()),
               .short_budget = cost_.prompt_budget(decoders, short_stall, runner_.max_tokens()),
               .free_pages = pool.free_pages() + prefixes_.evictable(),
               .queued = queued_,
               .running = running_,
               .tenants = work_},
              plan_);
    if (!carry_out_changes()) break;
  }
}

}  // namespace quern
