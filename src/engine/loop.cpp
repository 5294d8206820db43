#include "engine/loop.h"

#include <algorithm>
#include <limits>

#include "base/clock.h"

namespace quern {

bool Job::ended() const {
  return error || std::all_of(sequences.begin(), sequences.end(), [](const Sequence& s) { return s.done; });
}

Loop::Loop(Runner& runner, const Tokenizer& tokenizer, const LoopOptions& options, ServiceObserver* observer)
    : runner_(runner),
      tokenizer_(tokenizer),
      options_(options),
      observer_(observer),
      prefixes_(runner.kv().pool(), options.prefix_pages),
      grammars_(std::make_unique<GrammarRuns>(tokenizer, runner.model().config().n_vocab)) {}

void Loop::add(std::unique_ptr<Job> job) {
  const bool back =
      std::none_of(jobs_.begin(), jobs_.end(), [&](const auto& j) { return j->request.tenant == job->request.tenant; });
  job->tenant = tenant_of(job->request.tenant);
  if (back) {
    std::vector<double> active;
    for (const auto& j : jobs_) active.push_back(work_[j->tenant]);
    work_[job->tenant] = lift_tenant(work_[job->tenant], active, last_active_work_);
  }
  jobs_.push_back(std::move(job));
  ++version_;
  end_jobs();  // of a request that asks for nothing
}

void Loop::cancel(RequestId id) {
  for (const auto& job : jobs_) {
    if (job->id != id) continue;
    for (Sequence& s : job->sequences) s.cancel();
  }
  end_jobs();
}

void Loop::pause(RequestId id, bool paused) {
  for (const auto& job : jobs_) {
    if (job->id == id) job->paused = paused;
  }
  ++version_;
}

void Loop::fail_all(const Error& error) {
  for (const auto& job : jobs_) job->error = error;
  end_jobs();
}

double Loop::next_deadline() const {
  double soonest = std::numeric_limits<double>::infinity();
  for (const auto& job : jobs_) {
    if (job->deadline > 0) soonest = std::min(soonest, job->deadline);
  }
  return soonest;
}

size_t Loop::waiting() const {
  return static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const auto& j) { return !j->admitted; }));
}

ServiceState Loop::state() const {
  const PagePool& pool = runner_.kv().pool();
  ServiceState s{.waiting = waiting(),
                 .slots = options_.n_parallel,
                 .pages = pool.n_pages(),
                 .page_bytes = runner_.kv().page_bytes(),
                 .pages_cached = prefixes_.evictable(),
                 .preemptions = preemptions_};
  for (const auto& job : jobs_) {
    for (size_t i = 0; job->admitted && i < job->sequences.size(); ++i) s.running += job->active(i);
  }
  s.pages_used = pool.n_pages() - pool.free_pages() - s.pages_cached;
  return s;
}

// Rows of logits that a chunk asks for.
size_t Loop::logit_rows_of(const Slot& slot, size_t n_tokens) const {
  const Sequence& s = *slot.sequence;
  if (slot.job->request.embed) return 0;
  if (slot.job->request.options.prompt_logprobs && s.n_computed < s.n_prompt) return n_tokens;
  return n_tokens == s.remaining() ? 1 : 0;
}

// The plan's chunks as inputs: embeddings last (RunnerInput), and no more logits than a forward has room for.
void Loop::make_inputs() {
  chunks_.clear();
  inputs_.clear();
  size_t rows = 0;
  for (const bool embed : {false, true}) {
    for (Scheduled chunk : plan_.chunks) {
      const Slot& slot = slots_[chunk.index];
      if (slot.job->request.embed != embed) continue;
      const size_t wanted = logit_rows_of(slot, chunk.n_tokens);
      if (wanted > 1) chunk.n_tokens = std::min(chunk.n_tokens, runner_.max_logit_rows() - options_.n_parallel + 1);
      if (wanted > 0 && rows + std::min(wanted, chunk.n_tokens) > runner_.max_logit_rows()) continue;
      rows += std::min(wanted, chunk.n_tokens);
      chunks_.push_back(chunk);
      Sequence& s = *slot.sequence;
      inputs_.push_back({.ids = std::span<const int32_t>(s.ids).subspan(s.n_computed, chunk.n_tokens),
                         .first_position = s.n_computed,
                         .pages = &s.pages,
                         .want_logits = wanted == 1 && chunk.n_tokens == s.remaining(),
                         .all_logits = wanted > 1 || (wanted == 1 && slot.job->request.options.prompt_logprobs &&
                                                      s.n_computed < s.n_prompt),
                         .states = embed});
    }
  }
}

bool Loop::step() {
  const StepTimer timer(runner_.profiler());
  const double start = now_s();
  restore_pages();
  plan(start);
  if (plan_.chunks.empty()) return false;
  make_inputs();
  size_t decode = 0, prompt = 0;
  for (const Scheduled& c : chunks_) {
    const RunningSequence& r = running_[c.index];
    (r.decoding ? decode : prompt) += c.n_tokens;
    work_[r.tenant] += static_cast<double>(c.n_tokens) * (r.decoding ? kDecodedTokenWork : kPromptTokenWork);
    last_active_work_ = work_[r.tenant];
  }
  if (auto ok = forward(); !ok) {
    for (const Scheduled& c : chunks_) slots_[c.index].job->error = ok.error();
  }
  end_jobs();
  const double seconds = now_s() - start;
  cost_.record(decode, prompt, seconds);
  if (observer_ != nullptr) observer_->on_step({prompt, decode, seconds});
  return true;
}

Status Loop::forward() {
  size_t needed = 0;
  for (const RunnerInput& in : inputs_) {
    needed += in.pages->pages_needed(in.first_position, in.first_position + in.ids.size());
  }
  const PagePool& pool = runner_.kv().pool();
  if (needed > pool.free_pages()) {
    prefixes_.evict(needed - pool.free_pages());
    ++version_;
  }
  QUERN_TRY(const RunnerOutput out, runner_.forward(inputs_));
  const size_t n_vocab = runner_.model().config().n_vocab, d_model = runner_.model().config().d_model;
  size_t row = 0, state = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    const Slot& slot = slots_[chunks_[i].index];
    Sequence& s = *slot.sequence;
    const size_t first = s.n_computed, n = chunks_[i].n_tokens;
    s.n_computed += n;
    if (inputs_[i].states) {
      take_states(*slot.job, s, out.states.subspan(state * d_model, n * d_model));
      state += n;
      continue;
    }
    const size_t rows = inputs_[i].all_logits ? n : inputs_[i].want_logits ? 1 : 0;
    const auto logits = out.logits.subspan(row * n_vocab, rows * n_vocab);
    row += rows;
    if (first / kKvPageTokens != s.n_computed / kKvPageTokens && s.completion.ids.empty()) {
      keep_pages(*slot.job, s, first, /*ended=*/false);  // so that requests that wait for this prefix can go on
    }
    Status ok;
    if (inputs_[i].all_logits) ok = take_prompt_logprobs(slot, first, logits);
    if (ok && s.remaining() == 0) ok = after_forward(slot, logits.last(n_vocab));
    if (!ok) slot.job->error = ok.error();
  }
  return {};
}

Status Loop::take_prompt_logprobs(const Slot& slot, size_t first, std::span<const float> logits) {
  const Sequence& s = *slot.sequence;
  const size_t n_vocab = runner_.model().config().n_vocab;
  const int32_t top = std::max(0, slot.job->request.options.sampling.logprobs);
  for (size_t i = 0; (i + 1) * n_vocab <= logits.size(); ++i) {
    if (first + i + 1 >= s.n_prompt) break;
    const int32_t id = s.ids[first + i + 1];
    QUERN_TRY(LogProbs found, log_probs(logits.subspan(i * n_vocab, n_vocab), static_cast<size_t>(top), id));
    slot.job->prompt_logprobs.push_back({id, found.chosen, std::move(found.top)});
  }
  return {};
}

void Loop::take_states(Job& job, const Sequence& s, std::span<const float> states) {
  const size_t d_model = runner_.model().config().d_model;
  job.state_sum.resize(d_model);
  for (size_t i = 0; i < states.size(); ++i) job.state_sum[i % d_model] += static_cast<double>(states[i]);
  if (s.remaining() == 0) job.sequences[0].done = true;
}

void Loop::accept(Job& job, Sequence& s, const SampledToken& token) {
  const double now = now_s();
  if (observer_ != nullptr) {
    if (job.first_token == 0) observer_->on_first_token(now - job.submitted);
    if (s.last_token != 0) observer_->on_gap(now - s.last_token);
  }
  s.last_token = job.last_token = now;
  if (job.first_token == 0) job.first_token = now;
  s.accept(token, job.request.options, tokenizer_, n_ctx_of(job),
           [&](const TokenEvent& event) { return job.sink->on_token(event); });
}

// Samples a token for a sequence, and at the end of a prompt the first token of its other samples too.
Status Loop::after_forward(const Slot& slot, std::span<const float> logits) {
  Job& job = *slot.job;
  const bool first = !job.prompt_read;
  job.prompt_read = true;
  if (first) ++version_;
  for (size_t i = 0; i < (first ? job.sequences.size() : 1); ++i) {
    Sequence& s = first ? job.sequences[i] : *slot.sequence;
    if (s.done) continue;
    if (first && i > 0) {
      s.pages = job.sequences[0].pages.share(job.n_prompt);
      s.n_computed = job.n_prompt;
    }
    QUERN_CHECK_OK(pick_next(job, s, logits));
  }
  return {};
}

Status Loop::pick_next(Job& job, Sequence& s, std::span<const float> logits) {
  if (s.matcher && s.matcher->active()) return pick_under_grammar(job, s, logits);
  QUERN_TRY(const SampledToken token,
            timed(runner_.profiler(), "sampling", [&] { return s.sampler.sample(logits, s.ids.size()); }));
  timed(runner_.profiler(), "text", [&] { accept(job, s, token); });  // and what the caller does with it
  return {};
}

// Tokens that have to follow come without the model; where only as many are left as the shortest end takes, that end.
Status Loop::pick_under_grammar(Job& job, Sequence& s, std::span<const float> logits) {
  const size_t left = s.left(job.request.options, n_ctx_of(job));
  // Whoever asks for log-probabilities wants the model's word for each token.
  if (job.request.options.sampling.logprobs < 0) {
    const std::vector<int32_t> forced = timed(runner_.profiler(), "grammar", [&] { return s.matcher->forced(); });
    if (!forced.empty() && forced.size() + s.matcher->least_bytes() <= left) {
      accept_all(job, s, forced);
      s.n_to_read = s.remaining();
      return {};
    }
  }
  QUERN_TRY(const std::vector<uint32_t>* mask, timed(runner_.profiler(), "grammar", [&] { return s.matcher->mask(); }));
  QUERN_TRY(const SampledToken token,
            timed(runner_.profiler(), "sampling", [&] { return s.sampler.sample(logits, s.ids.size(), {*mask}); }));
  if (!s.matcher->can_end_after(token.id, left - 1)) {
    if (auto end = s.matcher->shortest_end(left)) {
      if (end->empty()) end->push_back(tokenizer_.eog_ids().empty() ? token.id : tokenizer_.eog_ids()[0]);
      accept_all(job, s, std::span(*end).first(end->size() - 1));
      s.ends_with = StopReason::kMaxTokens;
      accept_all(job, s, std::span(*end).last(1));
      return {};
    }
  }
  timed(runner_.profiler(), "text", [&] { accept(job, s, token); });
  return {};
}

void Loop::accept_all(Job& job, Sequence& s, std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (!s.done) accept(job, s, {.id = id, .top = {}});
  }
}

size_t Loop::n_ctx_of(const Job& job) const {
  const size_t cap = job.request.options.n_ctx;
  return cap == 0 ? runner_.n_ctx() : std::min(cap, runner_.n_ctx());
}

void Loop::end_jobs() {
  for (auto& job : jobs_) {
    for (Sequence& s : job->sequences) {
      if (!s.done || s.pages.pages().empty()) continue;
      keep_pages(*job, s, 0, /*ended=*/true);
      s.pages.clear();
    }
    if (!job->ended()) continue;
    for (Sequence& s : job->sequences) s.pages.clear();
    leaving_.push_back(std::move(job));
  }
  if (leaving_.empty()) return;
  std::erase(jobs_, nullptr);
  ++version_;
  if (options_.on_leave) options_.on_leave();
  for (const auto& job : leaving_) end(*job);
  leaving_.clear();
}

void Loop::end(Job& job) {
  if (job.error) {
    job.sink->on_end(tl::unexpected<Error>(*job.error));
    return;
  }
  Generation g;
  const double from = job.started == 0 ? now_s() : job.started;
  const double first = job.first_token == 0 ? now_s() : job.first_token;
  g.stats = {.prompt_tokens = job.n_prompt,
             .cached_tokens = job.cached_tokens,
             .queue_seconds = from - job.submitted,
             .prompt_seconds = first - from,
             .first_token_seconds = first - job.submitted,
             .generated_tokens = 0,
             .generate_seconds = job.last_token == 0 ? 0 : job.last_token - first};
  if (job.request.embed && !job.state_sum.empty()) {
    for (const double sum : job.state_sum) {
      g.embedding.push_back(static_cast<float>(sum / static_cast<double>(job.n_prompt)));
    }
  }
  StopReason reason = StopReason::kCancelled;
  for (Sequence& s : job.sequences) {
    g.stats.generated_tokens += s.completion.ids.size();
    reason = s.completion.reason;
    g.completions.push_back(std::move(s.completion));
  }
  g.prompt_logprobs = std::move(job.prompt_logprobs);
  if (observer_ != nullptr) observer_->on_end(g.stats, reason);
  job.sink->on_end(std::move(g));
}

}  // namespace quern
