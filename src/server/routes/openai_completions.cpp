// /v1/completions. Source document: platform.openai.com/docs/api-reference/completions/create.
#include <algorithm>
#include <limits>

#include "server/app.h"
#include "server/call.h"
#include "server/generation.h"
#include "server/openai/answer.h"
#include "server/openai/choice_stream.h"
#include "server/openai/generation_members.h"
#include "server/openai/json_text.h"
#include "server/openai/prompt_group.h"
#include "server/openai/prompts.h"

namespace quern::server {

namespace {

struct CompletionBody {
  GenerationMembers common;
  Json prompt;
  int64_t max_tokens = 16;  // the API's default
  std::optional<int64_t> best_of, logprobs;
  bool echo = false;

  void fields(FieldVisitor& v) {
    v.member({"prompt", "One text or several, each a string or token ids", {.required = true}}, prompt, kTextsSchema);
    common.fields(v);
    v.member({"max_tokens", "Most tokens of an answer", {.min = 0}}, max_tokens);
    v.member({"best_of",
              "Generate that many and give the n whose tokens are the likeliest on average",
              {.min = 1, .max = 128}},
             best_of);
    v.member(
        {"logprobs", "Tell the log-probability of each token and of that many alternatives", {.min = 0, .max = 20}},
        logprobs);
    v.member({"echo", "Begin with the prompt; with logprobs the prompt's tokens have theirs too"}, echo);
    v.refuse("suffix", "the text between two others is not generated here", {R"("")"});
  }

  [[nodiscard]] unsigned samples() const { return static_cast<unsigned>(best_of.value_or(common.n)); }
  [[nodiscard]] bool scores_prompt() const { return echo && logprobs.has_value(); }
  [[nodiscard]] bool ranks() const { return samples() > common.n; }

  [[nodiscard]] std::optional<BodyError> check() const {
    if (auto problem = common.check()) return problem;
    if (best_of && *best_of < common.n) return BodyError{"best_of", "'best_of' is less than 'n'"};
    if (common.stream && ranks())
      return BodyError{"best_of", "'best_of' over 'n' is known at the end: not as a stream"};
    if (common.stream && scores_prompt()) {
      return BodyError{"echo", "'echo' with 'logprobs' is known at the end: not as a stream"};
    }
    return std::nullopt;
  }
};

// A prompt, how its tokens are shown, and what was cut out.
struct Prompt {
  std::vector<int32_t> ids;
  std::vector<std::string> pieces;  // their bytes, in order; together the text
  std::string text;
  size_t removed = 0;
};

// A tokenizer may begin a text with a token, or a space, that is not in it.
void trim_start(Prompt& p, const std::string& text, const Engine& engine) {
  const std::string_view bos = engine.bos_text();
  size_t first = 0;
  if (!bos.empty() && p.pieces[0] == bos && !text.starts_with(bos)) {
    p.pieces[0].clear();
    first = 1;
  }
  if (first < p.pieces.size() && p.pieces[first].starts_with(' ') && !text.starts_with(' ')) {
    p.pieces[first].erase(0, 1);
  }
}

Result<Prompt> prepare(Call& call, const Model& model, TextOrIds given, bool echo) {
  const Engine& engine = model.engine();
  if (given.text) given.ids = tokenize_prompt(engine, *given.text);
  QUERN_TRY(PromptFit fit, fit_prompt(call, model, std::move(given.ids), 0));
  Prompt p{.ids = std::move(fit.ids), .pieces = {}, .text = {}, .removed = fit.removed};
  if (!echo) return p;
  for (const int32_t id : p.ids) p.pieces.push_back(engine.piece(id));
  if (given.text && !p.pieces.empty()) trim_start(p, *given.text, engine);
  for (const std::string& piece : p.pieces) p.text += piece;
  return p;
}

// Of the tokens of a completion; of none, the least.
double mean_logprob(const Completion& c) {
  if (c.logprobs.empty()) return -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const TokenRecord& t : c.logprobs) sum += t.logprob;
  return sum / static_cast<double>(c.logprobs.size());
}

struct Work {
  CompletionBody body;
  std::vector<Prompt> prompts;
  std::vector<size_t> removed;
  GenerateOptions options;
};

std::string logprobs_of(const Work& w, const Prompt& prompt, const Generation& g, const Completion& c,
                        const Engine& engine) {
  if (!w.body.logprobs) return "null";
  const auto n_top = static_cast<size_t>(*w.body.logprobs);
  LogprobLists lists;
  for (size_t i = 0; w.body.echo && i < prompt.pieces.size(); ++i) {
    if (i == 0) {
      lists.add(engine, prompt.pieces[0], std::nullopt, {}, n_top);
    } else if (i <= g.prompt_logprobs.size()) {
      const TokenRecord& t = g.prompt_logprobs[i - 1];
      lists.add(engine, prompt.pieces[i], t.logprob, t.top, n_top);
    }
  }
  for (const TokenRecord& t : c.logprobs) lists.add(engine, engine.piece(t.id), t.logprob, t.top, n_top);
  return lists.take();
}

void append_choices(std::string& to, const Work& w, size_t p, Generation& g, const Engine& engine) {
  if (w.body.ranks()) {
    std::stable_sort(g.completions.begin(), g.completions.end(),
                     [](const Completion& a, const Completion& b) { return mean_logprob(a) > mean_logprob(b); });
  }
  const auto n = static_cast<size_t>(w.body.common.n);
  for (size_t i = 0; i < n; ++i) {
    const Completion& c = g.completions[i];
    const size_t index = p * n + i;
    to += fmt::format(R"({}{{"index":{},"text":)", index == 0 ? "" : ",", index);
    append_json_string(to, w.body.echo ? w.prompts[p].text + c.text : c.text);
    to += fmt::format(R"(,"logprobs":{},"finish_reason":"{}"}})", logprobs_of(w, w.prompts[p], g, c, engine),
                      finish_reason(c.reason));
  }
}

// A prompt is only read where a token is asked for: the token that was not wanted goes.
void drop_unwanted(const Work& w, std::vector<Generation>& done) {
  if (w.body.max_tokens > 0) return;
  for (Generation& g : done) {
    for (Completion& c : g.completions) c = {};
    g.stats.generated_tokens = 0;
  }
}

void answer(const std::shared_ptr<Call>& call, const Work& w, const Model& model, std::vector<Generation> done,
            const std::string& figures) {
  const Usage usage = usage_of(done);
  std::string text = answer_head(*call, model, "cmpl-", "text_completion");
  text += R"(,"choices":[)";
  for (size_t p = 0; p < done.size(); ++p) append_choices(text, w, p, done[p], model.engine());
  text += fmt::format(R"(],"usage":{},"quern":{}}})", usage_json(usage), figures);
  call->respond({.status = 200, .headers = {}, .body = std::move(text)});
}

GenerateOptions options_of(const CompletionBody& body) {
  GenerateOptions o;
  o.prompt_logprobs = body.scores_prompt();
  o.max_tokens = static_cast<size_t>(body.max_tokens);
  if (o.prompt_logprobs) o.max_tokens = std::max<size_t>(o.max_tokens, 1);
  o.n = body.samples();
  o.stop = body.common.stop;
  return o;
}

std::shared_ptr<ChoiceStream> make_stream(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
                                          const Work& w) {
  StreamShape shape{.chat = false,
                    .head = answer_head(*call, *model, "cmpl-", "text_completion"),
                    .n_prompts = w.prompts.size(),
                    .n = w.options.n,
                    .logprobs = w.options.sampling.logprobs,
                    .include_usage = w.body.common.include_usage()};
  for (const Prompt& p : w.prompts) {
    if (w.body.echo) shape.echoes.push_back(p.text);
  }
  return std::make_shared<ChoiceStream>(call, model, std::move(shape));
}

void start(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model, const std::shared_ptr<Work>& w) {
  const auto stream = w->body.common.stream ? make_stream(call, model, *w) : nullptr;
  PromptEvents events;
  if (stream) events.on_token = [stream](size_t prompt, const TokenEvent& e) { stream->token(prompt, e); };
  events.on_end = [call, model, w, stream](Result<std::vector<Generation>> done) {
    if (!done) return call->fail(done.error());
    drop_unwanted(*w, *done);
    if (call->app.config.log_prompts) call->record.answer = (*done)[0].completions[0].text;
    const std::string figures = figures_json(*done, w->removed, w->options);
    if (!stream) return answer(call, *w, *model, std::move(*done), figures);
    stream->end(*done, usage_json(usage_of(*done)), figures);
  };
  std::vector<ServiceRequest> requests;
  for (const Prompt& p : w->prompts) {
    ServiceRequest& request = requests.emplace_back();
    request.prompt = p.ids;
    request.options = w->options;
  }
  start_prompts(call, model, std::move(requests), std::move(events));
}

void generate(const std::shared_ptr<Call>& call, const CompletionBody& body, const std::shared_ptr<Model>& model) {
  const size_t n_vocab = model->engine().info().n_vocab;
  auto w = std::make_shared<Work>();
  w->body = body;
  w->options = options_of(body);
  std::vector<TextOrIds> texts;
  if (auto problem = read_texts(body.prompt, "prompt", model->settings.max_waiting, n_vocab, texts)) {
    return call->refuse(*problem);
  }
  if (auto problem = body.common.check_samples(body.samples(), model->service->state().slots)) {
    return call->refuse(*problem);
  }
  if (auto problem = body.common.sampling.take(n_vocab, w->options.sampling)) return call->refuse(*problem);
  if (auto problem = body.common.take_grammar(call->app.grammars, w->options.grammar)) return call->refuse(*problem);
  w->options.sampling.logprobs = body.logprobs ? static_cast<int32_t>(*body.logprobs) : body.ranks() ? 0 : -1;
  for (TextOrIds& text : texts) {
    auto prompt = prepare(*call, *model, std::move(text), body.echo);
    if (!prompt) return call->fail(prompt.error());
    w->removed.push_back(prompt->removed);
    w->prompts.push_back(std::move(*prompt));
  }
  if (call->app.config.log_prompts) call->record.prompt = dump(body.prompt);
  start(call, model, w);
}

void complete(const std::shared_ptr<Call>& call) {
  CompletionBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  if (auto problem = body.check()) return call->refuse(*problem);
  with_model(call, body.common.model, std::nullopt,
             [call, body](const std::shared_ptr<Model>& model) { generate(call, body, model); });
}

Json completion_answer() {
  return Json::parse(R"({"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {"id": {"type": "string"}, "object": {"enum": ["text_completion"]}, "created": {"type": "integer"},
    "model": {"type": "string"}, "system_fingerprint": {"type": "string"}, "usage": {"type": "object"},
    "quern": {"type": ["object", "array"]}, "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
      "required": ["index", "text", "logprobs", "finish_reason"], "properties": {
        "index": {"type": "integer"}, "text": {"type": "string"},
        "finish_reason": {"enum": ["stop", "length", "cancelled"]}}}}}})");
}

}  // namespace

Route openai_completions_route() {
  return {.method = "POST",
          .path = "/v1/completions",
          .summary = "How texts go on (OpenAI)",
          .handle = complete,
          .body = body_schema<CompletionBody>,
          .response = completion_answer,
          .streams = "text/event-stream",
          .answers = {{404, "No such model"}, {504, "The deadline passed"}}};
}

}  // namespace quern::server
