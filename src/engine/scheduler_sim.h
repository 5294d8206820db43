// For tests of the scheduler: a machine that carries its plans out and keeps page tables honestly: pages are counted by
// reference, prefixes are kept and evicted, samples share their prompt, readers pause. Time is simulated. Every step
// checks the plan against all limits by GoogleTest's EXPECTs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/rng.h"
#include "engine/scheduler.h"

namespace quern {

struct SimRequest {
  uint64_t id = 0;
  uint32_t tenant = 0;
  int priority = 5;
  double arrival = 0;
  double deadline = std::numeric_limits<double>::infinity();
  size_t n_prompt = 1;
  size_t n_output = 1;
  unsigned n_samples = 1;
  int prefix = -1;  // requests with the same one begin alike, for n_prefix tokens
  size_t n_prefix = 0;
};

struct SimOptions {
  SchedulerLimits limits;
  size_t n_pages = 64;
  size_t prompt_budget = 8;
  size_t n_tenants = 1;
  double pause_share = 0;  // of sequences, at each step
  uint64_t seed = 1;
  size_t short_budget = 0;
  size_t short_prompt = 0;  // tokens; 0: none is short
};

class Simulator {
 public:
  Simulator(SimOptions options, std::vector<SimRequest> requests)
      : o_(options), rng_(options.seed), refs_(options.n_pages), is_kept_(options.n_pages), work_(options.n_tenants) {
    for (size_t i = o_.n_pages; i-- > 0;) free_.push_back(i);
    std::sort(requests.begin(), requests.end(), [](const SimRequest& a, const SimRequest& b) {
      return a.arrival != b.arrival ? a.arrival < b.arrival : a.id < b.id;
    });
    for (SimRequest& r : requests) coming_.push_back(r);
  }

  // One step: arrivals, plans until nothing changes, a forward. False when all work is done.
  bool step() {
    arrive();
    if (queue_.empty() && running_.empty()) {
      if (coming_.empty()) return false;
      now_ = coming_.front().arrival;
      arrive();
    }
    for (Seq& s : running_) s.paused = rng_.next_double() < o_.pause_share;
    hold();
    std::set<uint64_t> admitted, preempted;
    for (int round = 0;; ++round) {
      EXPECT_LT(round, 8) << "plans go on changing";
      if (round == 8) return false;
      plan();
      if (!plan_.changes()) break;
      carry_out(admitted, preempted);
    }
    forward();
    ++steps;
    return !::testing::Test::HasFailure();
  }

  void run(size_t max_steps) {
    while (step()) ASSERT_LT(steps, max_steps) << "no end";
    ASSERT_FALSE(::testing::Test::HasFailure());
    EXPECT_EQ(ended.size() + expired, total_);
    evict(o_.n_pages);
    EXPECT_EQ(free_.size(), o_.n_pages) << "a page leaked";
  }

  void add(SimRequest r) { coming_.push_back(r); }
  [[nodiscard]] double now() const { return now_; }
  [[nodiscard]] double work(size_t tenant) const { return work_[tenant]; }
  [[nodiscard]] size_t queued() const { return queue_.size(); }

  std::map<uint64_t, double> ended, started;  // request to time
  size_t steps = 0, expired = 0, refused = 0, preemptions = 0, trace = 0;

 private:
  struct Job {
    SimRequest r;
    std::vector<size_t> outputs;  // tokens so far, of each sample
    bool read = false;            // the prompt was: all samples have begun

    [[nodiscard]] bool active(size_t sample) const { return read ? outputs[sample] < r.n_output : sample == 0; }
  };
  struct Seq {
    uint64_t id = 0;
    unsigned sample = 0;
    bool paused = false;
    bool forks = false;  // the other samples begin when this one has read the prompt
    size_t n_computed = 0;
    size_t n_to_read = 0;  // tokens to compute when it was admitted
    std::vector<size_t> pages;
  };

  Job& job(uint64_t id) { return jobs_.at(id); }

  void arrive() {
    while (!coming_.empty() && coming_.front().arrival <= now_) {
      const SimRequest r = coming_.front();
      coming_.pop_front();
      std::set<uint32_t> active;
      for (uint64_t id : queue_) active.insert(job(id).r.tenant);
      for (const Seq& s : running_) active.insert(job(s.id).r.tenant);
      if (!active.contains(r.tenant)) {
        std::vector<double> work;
        for (uint32_t t : active) work.push_back(work_[t]);
        work_[r.tenant] = lift_tenant(work_[r.tenant], work);
      }
      jobs_[r.id] = {r, std::vector<size_t>(r.n_samples)};
      queue_.push_back(r.id);
      ++total_;
    }
  }

  // The kept pages of a request's prefix; the last token of a prompt is always computed.
  std::span<const size_t> kept(const SimRequest& r) const {
    const auto it = kept_.find(r.prefix);
    if (it == kept_.end()) return {};
    const size_t n = std::min(r.n_prefix, r.n_prompt - 1) / o_.limits.page_tokens;
    return std::span(it->second).first(std::min(n, it->second.size()));
  }

  size_t kept_in_use(const SimRequest& r) const {
    size_t n = 0;
    for (size_t p : kept(r)) n += refs_[p] > 1 ? 1 : 0;
    return n;
  }

  // Another request computes a prefix that this one will share. Decided once for all plans of a step.
  void hold() {
    held_.clear();
    for (uint64_t id : queue_) {
      const SimRequest& r = job(id).r;
      const bool held = r.prefix >= 0 && std::any_of(running_.begin(), running_.end(), [&](const Seq& s) {
                          const SimRequest& other = job(s.id).r;
                          return other.prefix == r.prefix && s.n_computed < std::min(other.n_prefix, r.n_prefix);
                        });
      if (held) held_.insert(id);
    }
  }

  size_t target(const Seq& s) {  // tokens whose keys and values are wanted now
    const Job& j = job(s.id);
    return s.forks ? j.r.n_prompt : j.r.n_prompt + j.outputs[s.sample];
  }

  bool decodes(const Seq& s) { return !s.forks && job(s.id).outputs[s.sample] > 0 && target(s) - s.n_computed == 1; }

  void plan() {
    queued_.clear();
    for (uint64_t id : queue_) {
      const Job& j = job(id);
      QueuedRequest q{.id = id,
                      .tenant = j.r.tenant,
                      .priority = j.r.priority,
                      .arrival = j.r.arrival,
                      .deadline = j.r.deadline,
                      .n_cached = kept(j.r).size() * o_.limits.page_tokens,
                      .n_slots = j.r.n_samples};
      if (j.read) q.n_slots = 0;
      for (size_t s = 0; s < j.outputs.size(); ++s) {
        if (!j.active(s)) continue;
        q.n_tokens += j.r.n_prompt + j.outputs[s];
        q.n_slots += j.read ? 1 : 0;
      }
      q.cached_in_use = kept_in_use(j.r);
      q.held = held_.contains(id);
      queued_.push_back(q);
    }
    sequences_.clear();
    std::set<uint64_t> seen;
    for (size_t i = 0; i < running_.size(); ++i) {
      const Seq& s = running_[i];
      const SimRequest& r = job(s.id).r;
      sequences_.push_back({.request = s.id,
                            .index = i,
                            .tenant = r.tenant,
                            .priority = r.priority,
                            .arrival = r.arrival,
                            .deadline = r.deadline,
                            .n_computed = s.n_computed,
                            .remaining = target(s) - s.n_computed,
                            .decoding = decodes(s),
                            .paused = s.paused,
                            .short_prompt = s.n_to_read <= o_.short_prompt,
                            .n_pages = s.pages.size(),
                            .shared_tail = tail_shared(s),
                            .own_pages = seen.insert(s.id).second ? own_pages(s.id) : 0,
                            .n_slots = s.forks ? r.n_samples : 1});
    }
    plan_step({.now = now_,
               .limits = o_.limits,
               .prompt_budget = o_.prompt_budget,
               .short_budget = o_.short_budget,
               .free_pages = free_.size() + evictable(),
               .queued = queued_,
               .running = sequences_,
               .tenants = work_},
              plan_);
  }

  bool tail_shared(const Seq& s) const {
    return s.n_computed % o_.limits.page_tokens != 0 && refs_[s.pages.back()] > 1;
  }

  size_t own_pages(uint64_t id) const {
    std::map<size_t, int> held;
    for (const Seq& s : running_) {
      if (s.id != id) continue;
      for (size_t p : s.pages) ++held[p];
    }
    size_t n = 0;
    for (const auto& [p, count] : held) n += refs_[p] - is_kept_[p] == count ? 1 : 0;
    return n;
  }

  size_t shared_pages(uint64_t id) const {
    std::set<size_t> held;
    for (const Seq& s : running_) {
      if (s.id == id) held.insert(s.pages.begin(), s.pages.end());
    }
    return held.size() - own_pages(id);
  }

  size_t evictable() const {
    size_t n = 0;
    for (const auto& [prefix, pages] : kept_) {
      for (size_t i = pages.size(); i > 0 && refs_[pages[i - 1]] == 1; --i) ++n;  // from the end: a chain has no holes
    }
    return n;
  }

  void carry_out(std::set<uint64_t>& admitted, std::set<uint64_t>& preempted) {
    for (uint64_t id : plan_.expire) {
      EXPECT_LE(job(id).r.deadline, now_);
      leave(id);
      std::erase(queue_, id);
      ++expired;
    }
    for (uint64_t id : plan_.refuse) {
      leave(id);
      std::erase(queue_, id);
      ++refused;
      ++expired;
    }
    for (uint64_t id : plan_.preempt) {
      EXPECT_FALSE(admitted.contains(id)) << "admitted and preempted in one step";
      EXPECT_TRUE(preempted.insert(id).second);
      shared_[id] = shared_pages(id);
      for (const Seq& s : running_) {
        if (s.id == id && s.paused) held_.insert(id);  // its reader is still slow
      }
      EXPECT_TRUE(leave(id));
      queue_.push_back(id);
      ++preemptions;
    }
    for (uint64_t id : plan_.admit) {
      // But where one of those that left had computed for itself what it can share now, or is held now: it left room.
      const bool changed = std::any_of(preempted.begin(), preempted.end(), [&](uint64_t p) {
        return held_.contains(p) || kept_in_use(job(p).r) > shared_[p];
      });
      EXPECT_TRUE(!preempted.contains(id) || changed) << "preempted and admitted in one step";
      EXPECT_TRUE(admitted.insert(id).second);
      EXPECT_EQ(std::erase(queue_, id), 1u);
      const Job& j = job(id);
      for (unsigned sample = 0; sample < j.r.n_samples; ++sample) {
        if (!j.active(sample)) continue;
        Seq s{.id = id, .sample = sample, .forks = !j.read};
        for (size_t p : kept(j.r)) {
          ++refs_[p];
          s.pages.push_back(p);
        }
        s.n_computed = s.pages.size() * o_.limits.page_tokens;
        s.n_to_read = target(s) - s.n_computed;
        running_.push_back(std::move(s));
      }
      started.try_emplace(id, now_);
    }
    size_t slots = 0;
    for (const Seq& s : running_) slots += s.forks ? job(s.id).r.n_samples : 1;
    EXPECT_LE(slots, o_.limits.max_slots);
  }

  bool leave(uint64_t id) {
    for (Seq& s : running_) {
      if (s.id == id) release(s);
    }
    return std::erase_if(running_, [&](const Seq& s) { return s.id == id; }) > 0;
  }

  void release(Seq& s) {
    for (size_t p : s.pages) drop(p);
    s.pages.clear();
  }

  void drop(size_t page) {
    if (--refs_[page] == 0) free_.push_back(page);
  }

  void evict(size_t n) {
    for (auto& [prefix, pages] : kept_) {
      while (n > 0 && !pages.empty() && refs_[pages.back()] == 1) {
        is_kept_[pages.back()] = 0;
        drop(pages.back());
        pages.pop_back();
        --n;
      }
    }
  }

  size_t take_page() {
    if (free_.empty()) evict(1);
    if (free_.empty()) {
      ADD_FAILURE() << "the plan takes more pages than there are";
      return 0;
    }
    const size_t page = free_.back();
    free_.pop_back();
    refs_[page] = 1;
    return page;
  }

  void write(Seq& s, size_t n) {
    const size_t page = o_.limits.page_tokens;
    if (tail_shared(s)) {
      const size_t copy = take_page();
      drop(s.pages.back());
      s.pages.back() = copy;
    }
    while (s.pages.size() * page < s.n_computed + n) s.pages.push_back(take_page());
    s.n_computed += n;
    const SimRequest& r = job(s.id).r;
    if (r.prefix < 0) return;
    std::vector<size_t>& kept = kept_[r.prefix];
    for (size_t i = kept.size(); (i + 1) * page <= std::min(r.n_prefix, s.n_computed); ++i) {
      if (i > 0 && s.pages[i - 1] != kept[i - 1]) return;  // not its chain: it computed the same at the same time
      ++refs_[s.pages[i]];
      is_kept_[s.pages[i]] = 1;
      kept.push_back(s.pages[i]);
    }
  }

  void forward() {
    size_t total = 0, prompts = 0, long_prompts = 0, decoders = 0, ready = 0;
    for (const Seq& s : running_) {
      decoders += !s.paused && decodes(s) ? 1 : 0;
      ready += s.paused ? 0 : 1;
    }
    std::set<size_t> seen;
    for (const Scheduled& c : plan_.chunks) {
      Seq& s = running_.at(c.index);
      EXPECT_TRUE(seen.insert(c.index).second);
      EXPECT_FALSE(s.paused);
      EXPECT_GE(c.n_tokens, 1u);
      EXPECT_LE(c.n_tokens, target(s) - s.n_computed);
      const bool decode = decodes(s);
      total += c.n_tokens;
      prompts += decode ? 0 : c.n_tokens;
      long_prompts += decode || s.n_to_read <= o_.short_prompt ? 0 : c.n_tokens;
      decoders -= decode ? 1 : 0;
      trace = trace * 1000003 + s.id * 64 + s.sample * 8 + c.n_tokens;
      work_[job(s.id).r.tenant] += static_cast<double>(c.n_tokens) * (decode ? kDecodedTokenWork : kPromptTokenWork);
      write(s, c.n_tokens);
    }
    EXPECT_LE(total, o_.limits.max_tokens);
    EXPECT_TRUE(total == prompts || prompts <= std::max(o_.prompt_budget, o_.short_budget));
    EXPECT_TRUE(total == prompts || long_prompts <= o_.prompt_budget);
    EXPECT_TRUE(ready == 0 || total > 0) << "a sequence could be computed and is not";
    EXPECT_TRUE(!running_.empty() || queue_.size() <= held_.size()) << "the queue stands still";
    const bool alone =
        std::all_of(running_.begin(), running_.end(), [&](const Seq& s) { return s.id == running_[0].id; });
    // Samples of a request that fills the pool alone may have to wait for each other.
    EXPECT_TRUE(total == o_.limits.max_tokens || prompts > 0 || decoders == 0 || alone) << "a decoder waits in vain";
    now_ += 0.003 + 0.0008 * static_cast<double>(total);
    for (const Scheduled& c : plan_.chunks) sampled(c.index);
    end_finished();
  }

  void sampled(size_t index) {
    if (running_[index].n_computed != target(running_[index])) return;
    Job& j = job(running_[index].id);
    if (running_[index].forks) {
      running_[index].forks = false;
      for (unsigned i = 1; i < j.r.n_samples; ++i) {
        Seq s = running_[index];
        s.sample = i;
        for (size_t p : s.pages) ++refs_[p];
        running_.push_back(std::move(s));
      }
      for (size_t& n : j.outputs) n = 1;
      j.read = true;
      return;
    }
    ++j.outputs[running_[index].sample];
  }

  void end_finished() {
    for (size_t i = running_.size(); i-- > 0;) {
      const Job& j = job(running_[i].id);
      if (running_[i].forks) continue;
      if (j.outputs[running_[i].sample] < j.r.n_output) continue;
      release(running_[i]);
      const uint64_t id = running_[i].id;
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      if (std::none_of(running_.begin(), running_.end(), [&](const Seq& s) { return s.id == id; })) ended[id] = now_;
    }
  }

  SimOptions o_;
  SplitMix64 rng_;
  std::vector<int> refs_;
  std::vector<int> is_kept_;
  std::vector<size_t> free_;
  std::vector<double> work_;
  std::deque<SimRequest> coming_;
  std::map<uint64_t, Job> jobs_;
  std::vector<uint64_t> queue_;
  std::vector<Seq> running_;
  std::map<int, std::vector<size_t>> kept_;
  std::set<uint64_t> held_;
  std::map<uint64_t, size_t> shared_;  // pages that a request shared with others when it was preempted
  std::vector<QueuedRequest> queued_;
  std::vector<RunningSequence> sequences_;
  Plan plan_;
  double now_ = 0;
  size_t total_ = 0;
};

}  // namespace quern
