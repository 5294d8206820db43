// Generation: requests become sequences, each step the scheduler picks tokens of many sequences for one forward, and
// every sequence whose prompt is complete samples its next token from the logits.
#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "engine/engine_impl.h"
#include "engine/scheduler.h"

namespace quern {

// One request under way.
struct Engine::Impl::Job {
  Request request;
  double submitted = 0, first_token = 0, last_token = 0;
  size_t cached_tokens = 0;
  unsigned left = 0;         // samples that are not done
  bool prompt_read = false;  // all samples are under way
  std::optional<Error> error;
  std::vector<Completion> completions;
};

namespace {

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first -
      a.begin());
}

}  // namespace

Result<Sequence> Engine::Impl::make_sequence(const Request& request, size_t index, unsigned sample) {
  const GenerateOptions& o = request.options;
  const size_t n_vocab = runner->model().config().n_vocab;
  Sampler::Context context{.n_vocab = n_vocab, .n_ctx = runner->n_ctx(), .sample_index = sample};
  if (o.sampling.dry_multiplier != 0.0f) {
    context.dry_breakers =
        make_dry_breakers(o.sampling.dry_sequence_breakers,
                          {.n_vocab = static_cast<size_t>(tokenizer->n_vocab()),
                           .piece = [this](int32_t id) { return tokenizer->piece(id, true); },
                           .tokenize =
                               [this](std::string_view text) {
                                 return tokenizer->encode(text, {.add_special = false, .parse_special = false});
                               }});
  }
  QUERN_TRY(Sampler sampler, Sampler::make(o.sampling, std::move(context)));
  QUERN_TRY(StopMatcher stops, StopMatcher::make(o.stop));
  sampler.accept(request.prompt);
  return Sequence{.request = index,
                  .sample = sample,
                  .ids = request.prompt,
                  .n_prompt = request.prompt.size(),
                  .n_computed = 0,
                  .pages = PageTable(runner->kv().pool()),
                  .sampler = std::move(sampler),
                  .stops = std::move(stops),
                  .detokenizer = Detokenizer(*tokenizer, {.render_special = o.render_special, .text_start = false}),
                  .completion = {},
                  .done = false};
}

Status Engine::Impl::check(const Request& r) const {
  if (r.prompt.empty()) return fail(ErrorCode::kInvalidArgument, "the prompt has no tokens");
  if (r.prompt.size() > runner->n_ctx()) {
    return fail_f(ErrorCode::kTooLong, "the prompt needs {} tokens, the context holds {}", r.prompt.size(),
                  runner->n_ctx());
  }
  if (r.options.n == 0 || r.options.n > n_parallel) {
    return fail_f(ErrorCode::kInvalidArgument, "{} samples of one prompt; expected 1 to {}", r.options.n, n_parallel);
  }
  const size_t n_vocab = runner->model().config().n_vocab;
  for (int32_t id : r.prompt) {
    if (id < 0 || static_cast<size_t>(id) >= n_vocab) {
      return fail_f(ErrorCode::kInvalidArgument, "token id {} is not in the vocabulary of {}", id, n_vocab);
    }
  }
  return {};
}

// Checks a request and puts its first sample among the running; the others join when the prompt has been read.
Status Engine::Impl::admit(Job& job, size_t index, std::vector<Sequence>& running) {
  const Request& r = job.request;
  QUERN_CHECK_OK(check(r));
  QUERN_TRY(Sequence s, make_sequence(r, index, 0));
  if (r.options.max_tokens == 0) return {};
  if (retained) {
    // The last token is computed anew: its logits were not kept.
    const size_t shared = std::min(common_prefix(retained->ids, r.prompt), r.prompt.size() - 1);
    if (shared > 0) {
      s.pages = retained->pages.share(shared);
      s.n_computed = shared;
      job.cached_tokens = shared;
    }
  }
  job.left = r.options.n;
  running.push_back(std::move(s));
  return {};
}

// Samples a token for the sequence at `index`, and at the end of a prompt the first token of its other samples too.
Status Engine::Impl::after_forward(std::vector<Job>& jobs, std::vector<Sequence>& running, size_t index,
                                   std::span<const float> logits) {
  Job& job = jobs[running[index].request];
  const bool first = !running[index].decoding();
  if (first) {
    job.first_token = now_s();
    job.prompt_read = true;
    for (unsigned i = 1; i < job.request.options.n; ++i) {
      QUERN_TRY(Sequence s, make_sequence(job.request, running[index].request, i));
      s.pages = running[index].pages.share(running[index].n_prompt);
      s.n_computed = running[index].n_computed;
      running.push_back(std::move(s));
    }
  }
  const unsigned fresh = first ? job.request.options.n : 1;
  for (unsigned i = 0; i < fresh; ++i) {
    Sequence& s = i == 0 ? running[index] : running[running.size() - fresh + i];
    QUERN_TRY(const SampledToken token,
              timed(runner->profiler(), "sampling", [&] { return s.sampler.sample(logits, s.ids.size()); }));
    timed(runner->profiler(), "text", [&] {  // and what the caller does with it
      s.accept(token, job.request.options, *tokenizer, runner->n_ctx(), job.request.on_token);
    });
    job.last_token = now_s();
  }
  return {};
}

// Ends the samples of requests that their callers no longer want.
void Engine::Impl::drop_cancelled(std::vector<Job>& jobs, std::vector<Sequence>& running) {
  for (Sequence& s : running) {
    Job& job = jobs[s.request];
    if (!job.request.options.cancelled || !job.request.options.cancelled()) continue;
    s.cancel();
    if (job.prompt_read) continue;
    for (Completion& c : job.completions) c.reason = StopReason::kCancelled;  // of samples that have not begun
  }
}

// One forward over whatever the scheduler picks. An error of one request ends that request alone.
Status Engine::Impl::step(std::vector<Job>& jobs, std::vector<Sequence>& running) {
  const StepTimer timer(runner->profiler());
  std::vector<RunningSequence> sequences;
  for (size_t i = 0; i < running.size(); ++i) {
    const Sequence& s = running[i];
    if (s.done) continue;
    sequences.push_back({.request = s.request,
                         .index = i,
                         .arrival = static_cast<double>(s.request),
                         .n_computed = s.n_computed,
                         .remaining = s.remaining(),
                         .decoding = s.decoding()});
  }
  // Every request has its pages from the start here, so none of them is ever asked to wait for one.
  Plan plan;
  plan_step({.limits = {.max_tokens = runner->max_tokens(), .max_slots = n_parallel},
             .prompt_budget = runner->max_tokens(),
             .free_pages = std::numeric_limits<size_t>::max() / 2,
             .running = sequences},
            plan);
  const std::vector<Scheduled>& picked = plan.chunks;
  if (picked.empty()) return {};
  std::vector<RunnerInput> inputs;
  for (const Scheduled& p : picked) {
    Sequence& s = running[p.index];
    inputs.push_back({.ids = std::span<const int32_t>(s.ids).subspan(s.n_computed, p.n_tokens),
                      .first_position = s.n_computed,
                      .pages = &s.pages,
                      .want_logits = p.n_tokens == s.remaining()});
  }
  QUERN_TRY(const std::span<const float> logits, runner->forward(inputs));
  const size_t n_vocab = runner->model().config().n_vocab;
  size_t row = 0;
  for (const Scheduled& p : picked) {
    running[p.index].n_computed += p.n_tokens;
    if (running[p.index].remaining() != 0) continue;
    Job& job = jobs[running[p.index].request];
    auto ok = after_forward(jobs, running, p.index, logits.subspan(row++ * n_vocab, n_vocab));
    if (!ok) job.error = ok.error();
  }
  return {};
}

std::vector<Result<Generation>> Engine::generate_all(std::vector<Request> requests) {
  Impl& impl = *impl_;
  std::vector<Impl::Job> jobs;
  for (Request& r : requests) {
    const double now = now_s();
    jobs.push_back({.request = std::move(r), .submitted = now, .first_token = now, .last_token = now});
    jobs.back().completions.resize(std::min<size_t>(jobs.back().request.options.n, impl.n_parallel));
  }
  impl.bench_tables.clear();
  std::vector<Sequence> running;
  running.reserve(impl.n_parallel);
  size_t next = 0, slots = 0;
  for (;;) {
    while (next < jobs.size() && (running.empty() || slots + jobs[next].request.options.n <= impl.n_parallel)) {
      if (auto ok = impl.admit(jobs[next], next, running); !ok) jobs[next].error = ok.error();
      slots += jobs[next].left;
      ++next;
    }
    if (running.empty()) break;
    impl.drop_cancelled(jobs, running);
    if (auto ok = impl.step(jobs, running); !ok) {
      for (const Sequence& s : running) jobs[s.request].error = ok.error();
    }
    for (size_t i = running.size(); i-- > 0;) {
      Sequence& s = running[i];
      Impl::Job& job = jobs[s.request];
      if (!s.done && !job.error) continue;
      if (s.sample == 0 && !job.error) {
        s.ids.resize(s.n_computed);
        impl.retained.emplace(RetainedPrefix{std::move(s.ids), std::move(s.pages)});
      }
      job.completions[s.sample] = std::move(s.completion);
      const unsigned freed = job.error || !job.prompt_read ? job.left : 1;  // with the samples that have not begun
      job.left -= freed;
      slots -= freed;
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  std::vector<Result<Generation>> results;
  for (Impl::Job& job : jobs) {
    if (job.error) {
      results.emplace_back(tl::unexpected<Error>(*job.error));
      continue;
    }
    Generation g{.completions = std::move(job.completions), .stats = {}};
    g.stats = {.prompt_tokens = job.request.prompt.size(),
               .cached_tokens = job.cached_tokens,
               .prompt_seconds = job.first_token - job.submitted,
               .first_token_seconds = job.first_token - job.submitted,
               .generated_tokens = 0,
               .generate_seconds = job.last_token - job.first_token};
    for (const Completion& c : g.completions) g.stats.generated_tokens += c.ids.size();
    results.emplace_back(std::move(g));
  }
  return results;
}

Result<Generation> Engine::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                                    const TokenCallback& on_token) {
  std::vector<Request> requests;
  requests.push_back({.prompt = {prompt.begin(), prompt.end()}, .options = options, .on_token = on_token});
  return std::move(generate_all(std::move(requests)).front());
}

}  // namespace quern
