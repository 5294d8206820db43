// Texts under a grammar, through the engine: they match whatever the model, the batch, the seed and the room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "grammar/internals.h"
#include "tests/engine/engine_fixture.h"
#include "tests/support/ir_match.h"

namespace quern {
namespace {

using testing::HasSubstr;

std::unique_ptr<Engine> engine_of(EngineOptions options = {}) {
  return tiny_engine("llama", TensorType::kF32, std::move(options));
}

Grammar list_of_words() {
  return *Grammar::gbnf("root ::= \"[\" word (\", \" word){0,3} \"]\"\nword ::= [a-z]{1,8} | \"the end of it\"\n");
}

bool matches(const Grammar& grammar, const std::string& text) {
  grammar::IrMatcher matcher(*GrammarInternals::ir(grammar));
  for (const char c : text) {
    if (!matcher.read(static_cast<uint8_t>(c))) return false;
  }
  return matcher.accepts();
}

GenerateOptions under(Grammar grammar, size_t max_tokens, uint64_t seed) {
  GenerateOptions o{.max_tokens = max_tokens, .grammar = std::move(grammar)};
  o.sampling.temperature = 1.5f;
  o.sampling.seed = seed;
  return o;
}

TEST(GrammarText, MatchesAtAnyTemperatureAndEnds) {
  const auto engine = engine_of();
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const auto done = engine->generate(random_ids(20, 256, seed), under(list_of_words(), 200, seed));
    ASSERT_TRUE(done.has_value()) << done.error().message;
    const Completion& c = done->completions[0];
    EXPECT_TRUE(matches(list_of_words(), c.text)) << c.text;
    EXPECT_EQ(c.reason, StopReason::kEndOfText);
  }
}

// However little room there is, the text is whole.
TEST(GrammarText, EndsWithinMaxTokens) {
  const auto engine = engine_of();
  for (size_t most = 3; most < 20; ++most) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const auto done = engine->generate(random_ids(5, 256, seed), under(list_of_words(), most, seed));
      ASSERT_TRUE(done.has_value()) << done.error().message;
      const Completion& c = done->completions[0];
      EXPECT_TRUE(matches(list_of_words(), c.text)) << most << ": " << c.text;
      EXPECT_LE(c.ids.size(), most);
    }
  }
  const auto none = engine->generate(random_ids(5, 256, 1), under(list_of_words(), 2, 1));
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->completions[0].reason, StopReason::kMaxTokens) << "two tokens cannot hold it";
}

TEST(GrammarText, EndsWithinTheContext) {
  const auto engine = engine_of({.n_ctx = 64});
  const Grammar endless = *Grammar::gbnf("root ::= \"{\" [a-z]* \"}\"");
  const auto done = engine->generate(random_ids(50, 256, 3), under(endless, 1000, 3));
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(matches(endless, done->completions[0].text)) << done->completions[0].text;
}

TEST(GrammarText, ManySamplesAndOthersBesideThem) {
  const auto engine = engine_of({.n_batch = 16, .n_parallel = 6});
  GenerateOptions four = under(list_of_words(), 100, 5);
  four.n = 4;
  const Grammar number = *Grammar::regex("-?(0|[1-9][0-9]{0,5})");
  std::vector<Engine::Request> requests(3);
  requests[0] = {.prompt = random_ids(40, 256, 1), .options = four, .on_token = {}};
  requests[1] = {.prompt = random_ids(30, 256, 2), .options = under(number, 50, 6), .on_token = {}};
  requests[2] = {.prompt = random_ids(90, 256, 3), .options = {.max_tokens = 30, .ignore_eos = true}, .on_token = {}};
  const auto together = engine->generate_all(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(together[i].has_value()) << together[i].error().message;
    const auto alone = engine_of()->generate(requests[i].prompt, requests[i].options);
    ASSERT_TRUE(alone.has_value());
    for (size_t s = 0; s < alone->completions.size(); ++s) {
      EXPECT_EQ(together[i]->completions[s].text, alone->completions[s].text) << "the batch changes nothing";
    }
  }
  for (const Completion& c : together[0]->completions) EXPECT_TRUE(matches(list_of_words(), c.text)) << c.text;
  EXPECT_TRUE(matches(number, together[1]->completions[0].text));
}

// The same text with and without forced tokens: log-probabilities are asked for, so the model is asked for each.
TEST(GrammarText, ForcedTokensAreCountedAndStreamed) {
  const auto engine = engine_of();
  const Grammar fixed = *Grammar::gbnf("root ::= \"{\\\"name\\\": \\\"\" [ab] \"\\\", \\\"kind\\\": 1}\"");
  std::string streamed;
  size_t events = 0;
  const auto done = engine->generate(random_ids(9, 256, 1), under(fixed, 100, 1), [&](const TokenEvent& e) {
    streamed += e.text;
    ++events;
    return true;
  });
  ASSERT_TRUE(done.has_value());
  const Completion& c = done->completions[0];
  EXPECT_TRUE(matches(fixed, c.text)) << c.text;
  EXPECT_EQ(streamed, c.text);
  EXPECT_EQ(events, c.ids.size());
  GenerateOptions told = under(fixed, 100, 1);
  told.sampling.logprobs = 0;
  const auto slow = engine->generate(random_ids(9, 256, 1), told);
  ASSERT_TRUE(slow.has_value());
  EXPECT_TRUE(matches(fixed, slow->completions[0].text));
  for (const TokenRecord& t : slow->completions[0].logprobs) EXPECT_LT(t.logprob, 0) << "the model's own";
}

TEST(GrammarText, WaitsForItsTrigger) {
  const auto engine = engine_of();
  GenerateOptions o = under(*Grammar::gbnf("root ::= \"a\" [0-9]{3}"), 400, 2);
  o.grammar_triggers = {"a"};
  o.sampling.logit_bias = {{'a', 10.0f}};
  const auto done = engine->generate(random_ids(9, 256, 1), o);
  ASSERT_TRUE(done.has_value());
  const std::string& text = done->completions[0].text;
  ASSERT_EQ(done->completions[0].reason, StopReason::kEndOfText) << text;
  ASSERT_GE(text.size(), 4u);
  EXPECT_EQ(text.find('a'), text.size() - 4) << text;
}

TEST(GrammarText, AFailureIsItsOwn) {
  const auto engine = engine_of();
  GenerateOptions barred = under(list_of_words(), 50, 1);
  for (int32_t id = 0; id < 261; ++id) barred.sampling.logit_bias.push_back({id, -INFINITY});
  std::vector<Engine::Request> requests(2);
  requests[0] = {.prompt = random_ids(4, 256, 1), .options = barred, .on_token = {}};
  requests[1] = {.prompt = random_ids(4, 256, 2), .options = under(list_of_words(), 50, 2), .on_token = {}};
  const auto done = engine->generate_all(requests);
  EXPECT_TRUE(done[1].has_value() && matches(list_of_words(), done[1]->completions[0].text));
}

TEST(GrammarText, StopStringsEndItEarlier) {
  const auto engine = engine_of();
  GenerateOptions o = under(list_of_words(), 200, 1);
  o.stop = {"]"};
  const auto done = engine->generate(random_ids(20, 256, 4), o);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->completions[0].reason, StopReason::kStopString);
  EXPECT_TRUE(matches(list_of_words(), done->completions[0].text + "]"));
}

TEST(GrammarText, JsonSchemas) {
  const auto engine = engine_of();
  const auto schema = Grammar::json_schema(R"({"type": "object", "required": ["name", "age"], "properties": {
    "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}}})");
  ASSERT_TRUE(schema.has_value()) << schema.error().message;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto done = engine->generate(random_ids(20, 256, seed), under(*schema, 300, seed));
    ASSERT_TRUE(done.has_value()) << done.error().message;
    EXPECT_TRUE(matches(*schema, done->completions[0].text)) << done->completions[0].text;
  }
}

}  // namespace
}  // namespace quern
