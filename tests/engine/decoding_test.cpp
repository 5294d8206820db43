// Decoding through the engine: stops, limits, samples, callbacks, refusals; and that none of it leaks a page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/null/null_backend.h"
#include "tests/engine/engine_fixture.h"
#include "tests/support/tiny_tokenizer.h"

namespace quern {
namespace {

using testing::HasSubstr;

std::unique_ptr<Engine> null_engine(EngineOptions options = {}) {
  return tiny_engine("llama", TensorType::kF32, std::move(options), [](unsigned) { return make_null_backend(); });
}

std::unique_ptr<Engine> real_engine(EngineOptions options = {}) {
  return tiny_engine("llama", TensorType::kF32, std::move(options));
}

GenerateOptions greedy(size_t max_tokens, bool ignore_eos = true) {
  GenerateOptions o{.max_tokens = max_tokens, .ignore_eos = ignore_eos};
  o.sampling.temperature = 0;
  return o;
}

// Text of letters only: every other token is forbidden.
GenerateOptions letters(size_t max_tokens, uint64_t seed) {
  GenerateOptions o{.max_tokens = max_tokens};
  o.sampling.seed = seed;
  for (int32_t id = 0; id < 261; ++id) {
    if (id < 'a' || id > 'z') o.sampling.logit_bias.push_back({id, -INFINITY});
  }
  return o;
}

// Every page is free but those of the prefix that is kept.
void expect_no_leak(Engine& engine) {
  const PagePool& pool = EngineInternals::runner(engine).kv().pool();
  EXPECT_EQ(pool.free_pages() + EngineInternals::retained_pages(engine), pool.n_pages());
}

TEST(Decoding, NullBackendPredictsTheText) {
  const auto engine = null_engine({.n_batch = 7});
  std::vector<int32_t> ids = random_ids(150, 256, 1);
  const auto result = engine->generate(ids, greedy(80));
  ASSERT_TRUE(result.has_value()) << result.error().message;
  for (int32_t id : result->completions[0].ids) {
    ASSERT_EQ(id, null_next_token(ids, engine->info().n_vocab)) << ids.size();
    ids.push_back(id);
  }
  EXPECT_EQ(ids.size(), 230u);
  EXPECT_EQ(engine->info().isa, "null");
}

TEST(Decoding, SameSeedSameText) {
  const std::vector<int32_t> prompt = random_ids(30, 256, 2);
  const GenerateOptions options = letters(60, 42);
  const auto first = real_engine()->generate(prompt, options);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->completions[0].text.size(), 60u);
  for (const EngineOptions& o :
       {EngineOptions{.n_batch = 1, .n_threads = 1, .n_parallel = 1}, EngineOptions{.n_batch = 64, .n_threads = 2}}) {
    const auto again = real_engine(o)->generate(prompt, options);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->completions[0].text, first->completions[0].text);
  }
  const auto other = real_engine()->generate(prompt, letters(60, 43));
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->completions[0].text, first->completions[0].text);
}

TEST(Decoding, StopStringsAcrossTokenBorders) {
  const auto engine = real_engine();
  const std::vector<int32_t> prompt = random_ids(10, 256, 3);
  const std::string whole = engine->generate(prompt, letters(50, 1))->completions[0].text;
  ASSERT_EQ(whole.size(), 50u);  // a letter a token: every stop string below crosses borders
  for (const auto& [at, length] : {std::pair<size_t, size_t>{0, 2}, {20, 3}, {31, 7}, {48, 2}}) {
    GenerateOptions options = letters(50, 1);
    options.stop = {"no such text", whole.substr(at, length)};
    std::string streamed;
    const auto result = engine->generate(prompt, options, [&](const TokenEvent& e) {
      streamed += e.text;
      return true;
    });
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->completions[0].text, whole.substr(0, whole.find(options.stop[1])));
    EXPECT_EQ(streamed, result->completions[0].text);
    EXPECT_EQ(result->completions[0].reason, StopReason::kStopString);
  }
  // A stop string that never ends: what was held back comes out.
  GenerateOptions options = letters(50, 1);
  options.stop = {whole.substr(47) + "!"};
  std::string streamed;
  const auto result = engine->generate(prompt, options, [&](const TokenEvent& e) {
    streamed += e.text;
    return true;
  });
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->completions[0].text, whole);
  EXPECT_EQ(streamed, whole);
  EXPECT_EQ(result->completions[0].reason, StopReason::kMaxTokens);
  expect_no_leak(*engine);
}

TEST(Decoding, MaxTokens) {
  const auto engine = real_engine();
  const std::vector<int32_t> prompt = random_ids(10, 256, 4);
  for (size_t max : {0u, 1u, 2u, 33u}) {
    size_t events = 0;
    const auto result = engine->generate(prompt, greedy(max), [&](const TokenEvent&) { return ++events > 0; });
    ASSERT_TRUE(result.has_value()) << result.error().message;
    ASSERT_EQ(result->completions.size(), 1u);
    EXPECT_EQ(result->completions[0].ids.size(), max);
    EXPECT_EQ(result->completions[0].reason, StopReason::kMaxTokens);
    EXPECT_EQ(events, max);
    EXPECT_EQ(result->stats.generated_tokens, max);
    EXPECT_EQ(result->stats.prompt_tokens, prompt.size());
    EXPECT_GE(result->stats.prompt_seconds, 0.0);
    EXPECT_GE(result->stats.generate_seconds, 0.0);
  }
  expect_no_leak(*engine);
}

TEST(Decoding, EndTokens) {
  const auto engine = real_engine();
  const std::vector<int32_t> prompt = random_ids(10, 256, 5);
  for (int32_t end : {static_cast<int32_t>(kTinyEos), static_cast<int32_t>(kTinyTurnEnd)}) {
    GenerateOptions options = greedy(5, false);
    options.sampling.logit_bias = {{end, 1000.0f}};
    options.sampling.logprobs = 0;
    size_t events = 0;
    const auto stop = engine->generate(prompt, options, [&](const TokenEvent&) { return ++events > 0; });
    ASSERT_TRUE(stop.has_value()) << stop.error().message;
    EXPECT_EQ(stop->completions[0].reason, StopReason::kEndOfText);
    EXPECT_TRUE(stop->completions[0].ids.empty());
    EXPECT_TRUE(stop->completions[0].logprobs.empty());
    EXPECT_EQ(stop->completions[0].text, "");
    EXPECT_EQ(events, 0u);
    options.ignore_eos = true;
    const auto go_on = engine->generate(prompt, options);
    ASSERT_TRUE(go_on.has_value());
    EXPECT_EQ(go_on->completions[0].ids, std::vector<int32_t>(5, end));
    EXPECT_EQ(go_on->completions[0].reason, StopReason::kMaxTokens);
    EXPECT_EQ(go_on->completions[0].text, "");
    options.render_special = true;
    const auto shown = engine->generate(prompt, options);
    ASSERT_TRUE(shown.has_value());
    EXPECT_THAT(shown->completions[0].text, HasSubstr(end == static_cast<int32_t>(kTinyEos) ? "<|eos|>" : "<|end|>"));
  }
  expect_no_leak(*engine);
}

TEST(Decoding, LogProbabilities) {
  const auto engine = real_engine();
  const std::vector<int32_t> prompt = random_ids(10, 256, 6);
  GenerateOptions options = greedy(6);
  options.sampling.logprobs = 3;
  std::vector<double> streamed;
  const auto result = engine->generate(prompt, options, [&](const TokenEvent& e) {
    streamed.push_back(e.logprob);
    EXPECT_EQ(e.top.size(), 3u);
    return true;
  });
  ASSERT_TRUE(result.has_value());
  const auto& records = result->completions[0].logprobs;
  ASSERT_EQ(records.size(), 6u);
  ASSERT_EQ(streamed.size(), 6u);
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].id, result->completions[0].ids[i]);
    EXPECT_EQ(records[i].logprob, streamed[i]);
    ASSERT_EQ(records[i].top.size(), 3u);
    EXPECT_EQ(records[i].top[0].id, records[i].id);  // greedy takes the likeliest
    EXPECT_EQ(records[i].top[0].logprob, records[i].logprob);
    EXPECT_GE(records[i].top[0].logprob, records[i].top[1].logprob);
    EXPECT_LT(records[i].logprob, 0.0);
  }
}

TEST(Decoding, LogitBiasForcesAndForbids) {
  const auto engine = real_engine();
  const std::vector<int32_t> prompt = random_ids(10, 256, 7);
  const std::vector<int32_t> plain = engine->generate(prompt, greedy(1))->completions[0].ids;
  GenerateOptions options = greedy(1);
  options.sampling.logit_bias = {{plain[0], -INFINITY}};
  EXPECT_NE(engine->generate(prompt, options)->completions[0].ids, plain);
  options.sampling.logit_bias = {{'q', 500.0f}};
  EXPECT_EQ(engine->generate(prompt, options)->completions[0].text, "q");
}

TEST(Decoding, FourSamplesStreamAndEndOnTheirOwn) {
  const auto engine = real_engine({.n_parallel = 4});
  GenerateOptions options = letters(30, 5);
  options.n = 4;
  std::vector<std::string> streamed(4);
  std::vector<size_t> counts(4, 0);
  const auto result = engine->generate(random_ids(70, 256, 8), options, [&](const TokenEvent& e) {
    streamed[e.sample] += e.text;
    return ++counts[e.sample] < (e.sample + 1) * 5;  // sample i is cancelled after 5 (i + 1) tokens
  });
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(result->completions.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(result->completions[i].text, streamed[i]);
    EXPECT_EQ(result->completions[i].ids.size(), (i + 1) * 5);
    EXPECT_EQ(result->completions[i].reason, StopReason::kCancelled);
  }
  EXPECT_NE(streamed[3].substr(0, 5), streamed[0]);
  EXPECT_EQ(result->stats.generated_tokens, 5u + 10 + 15 + 20);
  expect_no_leak(*engine);
}

TEST(Decoding, ContextFullAtExactlyTheContext) {
  const auto engine = real_engine({.n_ctx = 100});
  for (size_t n_prompt : {1u, 60u, 99u, 100u}) {
    const auto result = engine->generate(random_ids(n_prompt, 256, n_prompt), greedy(1000));
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->completions[0].reason, StopReason::kContextFull);
    // The last token is sampled from position 99 and needs no position of its own.
    EXPECT_EQ(n_prompt + result->completions[0].ids.size(), 101u);
  }
  const auto refused = engine->generate(random_ids(101, 256, 1), greedy(1));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(refused.error().message, HasSubstr("101"));
  EXPECT_THAT(refused.error().message, HasSubstr("100"));
  const auto logits = engine->logits(random_ids(101, 256, 1));
  ASSERT_FALSE(logits.has_value());
  EXPECT_EQ(logits.error().code, ErrorCode::kTooLong);
  expect_no_leak(*engine);
}

struct Refusal {
  const char* what;
  Engine::Request request;
  ErrorCode code;
  const char* message;
};

std::vector<Refusal> refusals() {
  const std::vector<int32_t> good = random_ids(5, 256, 1);
  GenerateOptions none = greedy(4), many = greedy(4), stop = greedy(4), bias = greedy(4), nan = greedy(4),
                  zero = greedy(0);
  none.n = 0;
  many.n = 17;
  stop.stop = {""};
  bias.sampling.logit_bias = {{261, 1.0f}};
  nan.sampling.temperature = NAN;
  zero.stop = {""};
  return {
      {"no tokens", {{}, greedy(4), {}}, ErrorCode::kInvalidArgument, "no tokens"},
      {"negative id", {{1, -1, 2}, greedy(4), {}}, ErrorCode::kInvalidArgument, "-1"},
      {"id beyond the vocabulary", {{1, 261}, greedy(4), {}}, ErrorCode::kInvalidArgument, "261"},
      {"too long", {random_ids(1025, 256, 1), greedy(4), {}}, ErrorCode::kTooLong, "1025"},
      {"no samples", {good, none, {}}, ErrorCode::kInvalidArgument, "0 samples"},
      {"too many samples", {good, many, {}}, ErrorCode::kInvalidArgument, "17 samples"},
      {"empty stop", {good, stop, {}}, ErrorCode::kInvalidArgument, "stop"},
      {"bias beyond the vocabulary", {good, bias, {}}, ErrorCode::kInvalidArgument, "261"},
      {"temperature that is no number", {good, nan, {}}, ErrorCode::kInvalidArgument, "temperature"},
      {"empty stop, no tokens wanted", {good, zero, {}}, ErrorCode::kInvalidArgument, "stop"},
  };
}

TEST(Decoding, RefusesWhatCannotBe) {
  const auto engine = real_engine();
  for (const Refusal& r : refusals()) {
    const auto result = engine->generate(r.request.prompt, r.request.options);
    ASSERT_FALSE(result.has_value()) << r.what;
    EXPECT_EQ(result.error().code, r.code) << r.what;
    EXPECT_THAT(result.error().message, HasSubstr(r.message)) << r.what;
  }
  EXPECT_EQ(engine->logits({}).error().code, ErrorCode::kInvalidArgument);
  const int32_t bad = 261;
  EXPECT_EQ(engine->logits({&bad, 1}).error().code, ErrorCode::kInvalidArgument);
  expect_no_leak(*engine);
}

TEST(Decoding, ARequestThatFailsDoesNotTouchTheOthers) {
  const auto engine = null_engine();
  // A prefix is kept and shared by the good requests: what they copy on write must not be lost by others' failure.
  std::vector<int32_t> shared = random_ids(100, 256, 9);
  ASSERT_TRUE(engine->generate(shared, greedy(1)).has_value());
  for (const Refusal& r : refusals()) {
    std::vector<Engine::Request> requests;
    for (size_t i = 0; i < 3; ++i) {
      std::vector<int32_t> prompt = shared;
      prompt.back() = static_cast<int32_t>(i);
      requests.push_back({prompt, greedy(5), {}});
    }
    requests.insert(requests.begin() + 1, r.request);
    const auto results = engine->generate_all(requests);
    ASSERT_EQ(results.size(), 4u);
    EXPECT_FALSE(results[1].has_value()) << r.what;
    for (size_t i : {0u, 2u, 3u}) {
      ASSERT_TRUE(results[i].has_value()) << r.what << ": " << results[i].error().message;
      std::vector<int32_t> ids = requests[i].prompt;
      for (int32_t id : results[i]->completions[0].ids) {
        ASSERT_EQ(id, null_next_token(ids, 261)) << r.what;
        ids.push_back(id);
      }
      EXPECT_EQ(ids.size(), 105u);
    }
    expect_no_leak(*engine);
  }
}

TEST(Decoding, MoreRequestsThanFit) {
  const auto engine = null_engine({.n_batch = 16, .n_parallel = 3});
  std::vector<Engine::Request> requests;
  for (size_t i = 0; i < 20; ++i) {
    requests.push_back({random_ids(1 + 7 * i, 256, i), greedy(10), {}});
    requests.back().options.n = static_cast<unsigned>(1 + i % 3);
  }
  const auto results = engine->generate_all(requests);
  ASSERT_EQ(results.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(results[i].has_value()) << results[i].error().message;
    ASSERT_EQ(results[i]->completions.size(), 1 + i % 3);
    for (const Completion& c : results[i]->completions) EXPECT_EQ(c.ids.size(), 10u);
  }
  EXPECT_TRUE(engine->generate_all({}).empty());
  expect_no_leak(*engine);
}

// A request is given up while its prompt is read, another between two tokens; the third is not touched.
TEST(Decoding, CancelledBetweenForwards) {
  const auto engine = null_engine({.n_batch = 16, .n_parallel = 6});
  std::vector<Engine::Request> requests;
  for (size_t i = 0; i < 3; ++i) requests.push_back({random_ids(i == 0 ? 200 : 5, 256, i), greedy(30), {}});
  size_t asked = 0, tokens = 0;
  requests[0].options.n = 3;
  requests[0].options.cancelled = [&] { return ++asked == 3; };
  requests[1].options.cancelled = [&] { return tokens == 4; };
  requests[1].on_token = [&](const TokenEvent&) { return ++tokens <= 4; };
  const auto results = engine->generate_all(requests);
  ASSERT_TRUE(results[0].has_value() && results[1].has_value() && results[2].has_value());
  ASSERT_EQ(results[0]->completions.size(), 3u);
  for (const Completion& c : results[0]->completions) {
    EXPECT_EQ(c.reason, StopReason::kCancelled);
    EXPECT_TRUE(c.ids.empty());
  }
  EXPECT_EQ(asked, 3u);
  EXPECT_EQ(results[1]->completions[0].reason, StopReason::kCancelled);
  EXPECT_EQ(results[1]->completions[0].ids.size(), 4u);
  EXPECT_EQ(results[2]->completions[0].reason, StopReason::kMaxTokens);
  EXPECT_EQ(results[2]->completions[0].ids.size(), 30u);
  expect_no_leak(*engine);
}

// A forward that fails is an error of the requests in it, leaves no page behind, and changes nothing of what was kept.
TEST(Decoding, BadForwardsKeepThePages) {
  const auto engine = null_engine();
  Runner& runner = EngineInternals::runner(*engine);
  const std::vector<int32_t> ids = random_ids(70, 256, 11);
  PageTable first(runner.kv().pool());
  const RunnerInput fill{.ids = ids, .first_position = 0, .pages = &first};
  ASSERT_TRUE(runner.forward({&fill, 1}).has_value());
  PageTable second = first.share(70);
  const int32_t next = 5, bad = 999;
  PageTable third(runner.kv().pool());
  const RunnerInput inputs[] = {{.ids = {&next, 1}, .first_position = 70, .pages = &second, .want_logits = true},
                                {.ids = {&bad, 1}, .first_position = 0, .pages = &third, .want_logits = true}};
  ASSERT_FALSE(runner.forward(inputs).has_value());
  const auto logits = runner.forward({inputs, 1});
  ASSERT_TRUE(logits.has_value());
  std::vector<int32_t> whole = ids;
  whole.push_back(next);
  EXPECT_EQ(logits->logits[static_cast<size_t>(null_next_token(whole, 261))], 1.0f);
  const RunnerInput far[] = {{.ids = {&next, 1}, .first_position = SIZE_MAX, .pages = &third}};
  EXPECT_EQ(runner.forward(far).error().code, ErrorCode::kTooLong);
}

TEST(Engine, EvaluateVisitsWhatWasAsked) {
  const auto engine = real_engine();
  const std::vector<int32_t> ids = random_ids(50, 256, 12);
  for (size_t first : {0u, 1u, 49u, 50u, 51u, 5000u}) {
    std::vector<size_t> seen;
    const auto ok = engine->evaluate(ids, first, [&](size_t i, std::span<const float>) {
      seen.push_back(i);
      return true;
    });
    ASSERT_TRUE(ok.has_value());
    ASSERT_EQ(seen.size(), first < 50 ? 50 - first : 0);
    for (size_t k = 0; k < seen.size(); ++k) EXPECT_EQ(seen[k], first + k);
  }
  size_t calls = 0;
  EXPECT_TRUE(engine->evaluate(ids, 10, [&](size_t, std::span<const float>) { return ++calls < 3; }).has_value());
  EXPECT_EQ(calls, 3u);
  EXPECT_TRUE(engine->evaluate({}, 0, [](size_t, std::span<const float>) { return true; }).has_value());
  expect_no_leak(*engine);
}

TEST(Engine, TellsTheThreadsThatRun) {
  const auto engine = real_engine({.n_threads = 2});
  engine->set_threads(64, 0);
  EXPECT_EQ(engine->info().n_threads, 2u);
  EXPECT_EQ(engine->info().n_threads_batch, 1u);
}

TEST(Engine, TimesMadeUpBatches) {
  const auto engine = real_engine({.n_batch = 64, .n_parallel = 4});
  for (const ForwardShape& shape :
       {ForwardShape{}, ForwardShape{200, 1, 0}, ForwardShape{1, 4, 500}, ForwardShape{90, 3, 64}}) {
    const auto seconds = engine->time_forward(shape);
    ASSERT_TRUE(seconds.has_value()) << seconds.error().message;
    EXPECT_GT(*seconds, 0.0);
    EXPECT_GT(engine->forward_bytes(shape), engine->info().weight_bytes);
    EXPECT_GT(engine->forward_macs(shape), 0.0);
  }
  EXPECT_FALSE(engine->time_forward({1, 5, 0}).has_value());
  EXPECT_FALSE(engine->time_forward({0, 1, 0}).has_value());
  EXPECT_EQ(engine->time_forward({1, 1, 1024}).error().code, ErrorCode::kTooLong);
  ASSERT_TRUE(engine->generate(random_ids(10, 256, 1), greedy(2)).has_value());
  expect_no_leak(*engine);
}

// The embedding table of many models has more rows than the tokenizer has tokens.
TEST(Engine, IdsWithoutATokenHaveNoText) {
  const auto whole = model_bytes("llama-untied-bias");
  Patch patch{.drop = {}, .add = [](GgufWriter& w) { add_tiny_tokenizer(w, 270); }};
  const auto view = GgufView::parse(whole, "tiny");
  ASSERT_TRUE(view.has_value()) << view.error().message;
  for (const GgufKey& key : view->keys()) {
    if (key.name.starts_with("tokenizer.")) patch.drop.emplace(key.name);
  }
  auto loaded = load_bytes(patched(whole, patch), {.n_threads = 1});
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  Engine& engine = **loaded;
  EXPECT_EQ(engine.info().n_vocab, 300u);
  EXPECT_EQ(engine.detokenize(std::vector<int32_t>{'a', -5, 270, 299, 300, 100000, 'b'}), "ab");
  GenerateOptions options = greedy(3);
  options.sampling.logit_bias = {{285, 1000.0f}};
  const auto result = engine.generate(std::vector<int32_t>{290, 5}, options);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->completions[0].ids, std::vector<int32_t>(3, 285));
  EXPECT_EQ(result->completions[0].text, "");
}

}  // namespace
}  // namespace quern
