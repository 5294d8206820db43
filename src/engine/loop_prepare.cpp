// From a request to a job: checks, samplers, stop strings. Reads what does not change, so that any thread may call it.
#include <algorithm>

#include "base/clock.h"
#include "engine/loop.h"

namespace quern {

Status Loop::check(const ServiceRequest& r) const {
  if (r.prompt.empty()) return fail(ErrorCode::kInvalidArgument, "the prompt has no tokens");
  const size_t n_ctx = r.options.n_ctx == 0 ? runner_.n_ctx() : std::min(r.options.n_ctx, runner_.n_ctx());
  if (r.prompt.size() > n_ctx) {
    return fail_f(ErrorCode::kTooLong, "the prompt needs {} tokens, the context holds {}", r.prompt.size(), n_ctx);
  }
  const unsigned n = r.embed ? 1 : r.options.n;
  if (n == 0 || n > options_.n_parallel) {
    return fail_f(ErrorCode::kInvalidArgument, "{} samples of one prompt; expected 1 to {}", n, options_.n_parallel);
  }
  if (r.priority < 0 || r.priority > kHighestPriority) {
    return fail_f(ErrorCode::kInvalidArgument, "priority {}; expected 0 to {}", r.priority, kHighestPriority);
  }
  const size_t n_vocab = runner_.model().config().n_vocab;
  for (int32_t id : r.prompt) {
    if (id < 0 || static_cast<size_t>(id) >= n_vocab) {
      return fail_f(ErrorCode::kInvalidArgument, "token id {} is not in the vocabulary of {}", id, n_vocab);
    }
  }
  // Preempting others makes room for one request, whatever it asks for, only if the cache could hold it alone.
  const size_t output = r.embed ? 0 : std::min(r.options.max_tokens, n_ctx - r.prompt.size() + 1);
  const size_t pages = r.prompt.size() / kKvPageTokens + 1 + n * (output / kKvPageTokens + 2);
  if (n > 1 && pages > runner_.kv().pool().n_pages()) {
    return fail_f(ErrorCode::kResource, "{} samples of {} tokens need {} pages of the KV cache, which has {}", n,
                  output, pages, runner_.kv().pool().n_pages());
  }
  return {};
}

Result<Sequence> Loop::make_sequence(const ServiceRequest& request, unsigned sample) const {
  const GenerateOptions& o = request.options;
  const size_t n_vocab = runner_.model().config().n_vocab;
  Sampler::Context context{.n_vocab = n_vocab, .n_ctx = runner_.n_ctx(), .sample_index = sample};
  if (o.sampling.dry_multiplier != 0.0f) {
    context.dry_breakers =
        make_dry_breakers(o.sampling.dry_sequence_breakers,
                          {.n_vocab = static_cast<size_t>(tokenizer_.n_vocab()),
                           .piece = [this](int32_t id) { return tokenizer_.piece(id, true); },
                           .tokenize =
                               [this](std::string_view text) {
                                 return tokenizer_.encode(text, {.add_special = false, .parse_special = false});
                               }});
  }
  QUERN_TRY(Sampler sampler, Sampler::make(o.sampling, std::move(context)));
  QUERN_TRY(StopMatcher stops, StopMatcher::make(o.stop));
  sampler.accept(request.prompt);
  std::optional<grammar::Matcher> matcher;
  if (o.grammar) matcher.emplace(grammars_->get(o.grammar), o.grammar_triggers);
  return Sequence{.sample = sample,
                  .ids = request.prompt,
                  .n_prompt = request.prompt.size(),
                  .n_computed = 0,
                  .n_to_read = 0,
                  .pages = PageTable(runner_.kv().pool()),
                  .sampler = std::move(sampler),
                  .stops = std::move(stops),
                  .detokenizer = Detokenizer(tokenizer_, {.render_special = o.render_special, .text_start = false}),
                  .completion = {},
                  .done = false,
                  .matcher = std::move(matcher)};
}

Result<std::unique_ptr<Job>> Loop::prepare(ServiceRequest request, std::shared_ptr<RequestSink> sink) const {
  if (request.embed) request.options = {.max_tokens = 1};
  QUERN_CHECK_OK(check(request));
  auto job = std::make_unique<Job>();
  for (unsigned i = 0; i < request.options.n; ++i) {
    QUERN_TRY(Sequence s, make_sequence(request, i));
    s.done = request.options.max_tokens == 0;
    job->sequences.push_back(std::move(s));
  }
  job->n_prompt = request.prompt.size();
  job->submitted = now_s();
  if (request.deadline_s > 0) job->deadline = job->submitted + request.deadline_s;
  request.prompt.clear();
  job->request = std::move(request);
  job->sink = std::move(sink);
  return job;
}

}  // namespace quern
