// The parts of OpenAI's APIs that need no model: JSON as text, messages, prompts, sampling members, base64, figures.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/openai/answer.h"
#include "server/openai/base64.h"
#include "server/openai/generation_members.h"
#include "server/openai/json_text.h"
#include "server/openai/logprobs.h"
#include "server/openai/messages.h"
#include "server/openai/prompts.h"

namespace quern::server {
namespace {

std::string json_string(std::string_view text) {
  std::string to;
  append_json_string(to, text);
  return to;
}

TEST(JsonText, StringsReadBackAsTheyWere) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  for (const std::string& text : {std::string(), all, std::string("ä€😀\u2028"), std::string("a\"b\\c\n\r\t\0d", 10)}) {
    EXPECT_EQ(Json::parse(json_string(text)).get<std::string>(), text);
  }
  EXPECT_EQ(json_string("a\n\x01"), "\"a\\n\\u0001\"");
}

TEST(JsonText, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(json_string("a\xff z\xe2\x82"), "\"a\xEF\xBF\xBD z\xEF\xBF\xBD\"");
}

TEST(JsonText, LogProbsReadBackExactly) {
  for (const double value : {0.0, -1.0, -0.1, -1e-7, -123.456789012345678, std::nextafter(-1.0, 0.0)}) {
    std::string text;
    append_log_prob(text, value);
    EXPECT_EQ(Json::parse(text).get<double>(), value) << text;
  }
  std::string never;
  append_log_prob(never, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(Json::parse(never).get<double>(), -9999);
}

TEST(Logprobs, TokensThatAreNoTextAreShownByTheirBytes) {
  EXPECT_EQ(shown_token("ä"), "ä");
  EXPECT_EQ(shown_token("\xe2\x82"), "bytes:\\xe2\\x82");
  EXPECT_EQ(shown_token(""), "");
}

TEST(Base64, VectorsOfTheRfc) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    const std::string_view text(plain);
    EXPECT_EQ(base64(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size())), coded);
  }
  const float values[] = {1.0f, -2.0f};
  EXPECT_EQ(base64_floats(values), "AACAPwAAAMA=");
}

// The messages after plain_messages, or the member that is wrong.
Json plain(const char* text) {
  Json messages = Json::parse(text);
  if (const auto problem = plain_messages(messages)) return problem->param;
  return messages;
}

TEST(Messages, BecomePlain) {
  EXPECT_EQ(plain(R"([{"role": "developer", "content": "x"}])"),
            Json::parse(R"([{"role": "system", "content": "x"}])"));
  EXPECT_EQ(plain(R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])"),
            Json::parse(R"([{"role": "user", "content": "a\nb"}])"));
  const char* calls = R"([{"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
                          {"role": "tool", "tool_call_id": "1", "content": "42"}])";
  const Json kept = plain(calls);
  EXPECT_EQ(kept[0]["content"], "");
  EXPECT_EQ(kept[0]["tool_calls"][0]["id"], "1");
  EXPECT_EQ(kept[1]["tool_call_id"], "1");
}

TEST(Messages, SayWhatIsWrongAndWhere) {
  EXPECT_EQ(plain("[]"), "messages");
  EXPECT_EQ(plain(R"([{"role": "user", "content": "x"}, 7])"), "messages[1]");
  EXPECT_EQ(plain(R"([{"content": "x"}])"), "messages[0].role");
  EXPECT_EQ(plain(R"([{"role": "function", "content": "x"}])"), "messages[0].role");
  EXPECT_EQ(plain(R"([{"role": "user"}])"), "messages[0].content");
  EXPECT_EQ(plain(R"([{"role": "user", "content": 7}])"), "messages[0].content");
  EXPECT_EQ(plain(R"([{"role": "user", "content": []}])"), "messages[0].content");
  EXPECT_EQ(plain(R"([{"role": "user", "content": [{"type": "text"}]}])"), "messages[0].content[0].text");
  EXPECT_EQ(plain(R"([{"role": "assistant", "content": "x", "audio": {"id": "1"}}])"), "messages[0].audio");
  Json image = Json::parse(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])");
  const auto problem = plain_messages(image);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->param, "messages[0].content[0]");
  EXPECT_NE(problem->message.find("image_url"), std::string::npos);
}

TEST(Messages, AreContinuedWhereTheyEnd) {
  const auto last = [](const char* content) { return Json::array({{{"role", "assistant"}, {"content", content}}}); };
  EXPECT_EQ(continued("<user>ab<end><bot>ab<end>\n", last("ab")), "<user>ab<end><bot>ab");
  EXPECT_EQ(continued("<bot>ab <end>", last("ab ")), "<bot>ab ");  // the template kept the space
  EXPECT_EQ(continued("<bot>ab<end>", last(" ab ")), "<bot>ab");   // or took it away
  EXPECT_EQ(continued("<bot>AB<end>", last("ab")), std::nullopt);
  EXPECT_EQ(continued("<bot><end>", last("")), std::nullopt);
}

TEST(Prompts, AreTextsOrIdsOneOrSeveral) {
  const auto read = [](const char* text, std::vector<TextOrIds>& to) {
    to.clear();
    const auto problem = read_texts(Json::parse(text), "prompt", 3, 100, to);
    return problem ? problem->param : std::string();
  };
  std::vector<TextOrIds> texts;
  EXPECT_EQ(read(R"("a")", texts), "");
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts[0].text, "a");
  EXPECT_EQ(read("[1, 99]", texts), "");
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts[0].ids, (std::vector<int32_t>{1, 99}));
  EXPECT_EQ(read(R"(["a", [5], "b"])", texts), "");
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[1].ids, std::vector<int32_t>{5});
  EXPECT_EQ(read("[]", texts), "prompt");
  EXPECT_EQ(read("[[]]", texts), "prompt[0]");
  EXPECT_EQ(read("[100]", texts), "prompt");
  EXPECT_EQ(read("[-1]", texts), "prompt");
  EXPECT_EQ(read("[1.5]", texts), "prompt");
  EXPECT_EQ(read("[18446744073709551615]", texts), "prompt");
  EXPECT_EQ(read(R"(["a", {}])", texts), "prompt[1]");
  EXPECT_EQ(read("true", texts), "prompt");
  EXPECT_EQ(read(R"(["a", "b", "c", "d"])", texts), "prompt");
}

std::optional<BodyError> read_members(const char* text, GenerationMembers& members) {
  std::vector<std::string> ignored;
  if (auto problem = read_body(Json::parse(text), members, Unknown::kRefuse, ignored)) return problem;
  return members.check();
}

TEST(SamplingMembers, DefaultsAreTheApis) {
  GenerationMembers members;
  ASSERT_FALSE(read_members("{}", members));
  SamplingOptions o;
  ASSERT_FALSE(members.sampling.take(100, o));
  EXPECT_EQ(o.temperature, 1.0f);
  EXPECT_EQ(o.top_p, 1.0f);
  EXPECT_EQ(o.top_k, 0);
  EXPECT_EQ(o.min_p, 0.0f);
  EXPECT_EQ(o.logprobs, -1);
  EXPECT_TRUE(o.logit_bias.empty());
}

TEST(SamplingMembers, AreTaken) {
  GenerationMembers members;
  ASSERT_FALSE(read_members(R"({"temperature": 0.5, "top_p": 0.9, "seed": -1, "top_k": 40, "min_p": 0.05,
    "repeat_last_n": -1, "dry_base": 2, "presence_penalty": -2, "logit_bias": {"7": -100, "99": 1.5}})",
                            members));
  SamplingOptions o;
  ASSERT_FALSE(members.sampling.take(100, o));
  EXPECT_EQ(o.temperature, 0.5f);
  EXPECT_EQ(o.top_k, 40);
  EXPECT_EQ(o.min_p, 0.05f);
  EXPECT_EQ(o.repeat_last_n, -1);
  EXPECT_EQ(o.dry_base, 2.0f);
  EXPECT_EQ(o.presence_penalty, -2.0f);
  EXPECT_EQ(o.seed, UINT64_MAX);
  ASSERT_EQ(o.logit_bias.size(), 2u);
  EXPECT_EQ(o.logit_bias[1].id, 99);
  EXPECT_EQ(o.logit_bias[1].bias, 1.5f);
  for (const char* bias :
       {R"({"x": 1})", R"({"100": 1})", R"({"-1": 1})", R"({"1": 101})", R"({"1": "a"})", R"({"": 1})"}) {
    GenerationMembers wrong;
    wrong.sampling.logit_bias = Json::parse(bias);
    const auto problem = wrong.sampling.take(100, o);
    ASSERT_TRUE(problem) << bias;
    EXPECT_EQ(problem->param, "logit_bias");
  }
}

TEST(GenerationMembers, SayWhatIsWrong) {
  const auto wrong = [](const char* text) {
    GenerationMembers members;
    const auto problem = read_members(text, members);
    return problem ? problem->param : std::string();
  };
  EXPECT_EQ(wrong(R"({"temperature": 2.5})"), "temperature");
  EXPECT_EQ(wrong(R"({"n": 0})"), "n");
  EXPECT_EQ(wrong(R"({"top_kk": 1})"), "top_kk");
  EXPECT_EQ(wrong(R"({"stop": ""})"), "stop");
  EXPECT_EQ(wrong(R"({"stream_options": {}})"), "stream_options");
  EXPECT_EQ(wrong(R"({"stream": true, "stream_options": {"include_use": true}})"), "stream_options.include_use");
  EXPECT_EQ(wrong(R"({"stream": true, "stream_options": {"include_usage": 1}})"), "stream_options.include_usage");
  EXPECT_EQ(wrong(R"({"stream": true, "stream_options": {"include_obfuscation": true}, "stop": ["a", "b"]})"), "");
  GenerationMembers members;
  ASSERT_FALSE(read_members(R"({"stream": true, "stream_options": {"include_usage": true}})", members));
  EXPECT_TRUE(members.include_usage());
  EXPECT_FALSE(GenerationMembers().include_usage());
  members.n = 5;
  EXPECT_FALSE(members.check_samples(5, 5));
  EXPECT_EQ(members.check_samples(5, 4)->param, "n");
  EXPECT_EQ(members.check_samples(6, 5)->param, "best_of");
}

TEST(Answer, FiguresAreThoseOfTheEngine) {
  Generation g;
  g.stats = {.prompt_tokens = 10,
             .cached_tokens = 4,
             .queue_seconds = 0.001,
             .prompt_seconds = 0.5,
             .first_token_seconds = 0.501,
             .generated_tokens = 21,
             .generate_seconds = 2};
  const std::vector<Generation> two = {g, g};
  const Json usage = Json::parse(usage_json(usage_of(two)));
  EXPECT_EQ(usage["prompt_tokens"], 20);
  EXPECT_EQ(usage["completion_tokens"], 42);
  EXPECT_EQ(usage["total_tokens"], 62);
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 8);
  const std::vector<size_t> removed = {3, 0};
  GenerateOptions options;
  options.sampling.seed = 5;
  const Json one = Json::parse(figures_json(std::span(two).first(1), removed, options));
  EXPECT_EQ(one, Json::parse(R"({"seed": 5, "queue_ms": 1.0, "first_token_ms": 501.0, "prompt_tps": 12.0, "tps": 10.0,
    "truncated_tokens": 3})"));
  EXPECT_EQ(Json::parse(figures_json(two, removed, options)).size(), 2u);
}

}  // namespace
}  // namespace quern::server
