// The parts of Ollama's API that need no model: durations, times, names, options.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/ollama/options.h"
#include "server/ollama/values.h"

namespace quern::server::ollama {
namespace {

constexpr double kForEver = std::numeric_limits<double>::infinity();

TEST(Values, DurationsAreThoseOfGo) {
  const std::pair<const char*, double> good[] = {{"5m", 300},    {"1h30m", 5400}, {"-1s", -1},      {"300ms", 0.3},
                                                 {"1.5h", 5400}, {"0", 0},        {"300", 300},     {"+2s", 2},
                                                 {"-1", -1},     {"10us", 1e-5},  {"1h1m1s", 3661}, {".5s", 0.5}};
  for (const auto& [text, seconds] : good) {
    const auto read = parse_go_duration(text);
    ASSERT_TRUE(read.has_value()) << text;
    EXPECT_DOUBLE_EQ(*read, seconds) << text;
  }
  for (const char* wrong : {"", "-", "m", "5x", "5m3", "5 m", "1e3s", "inf", "nan", "5m-3s", "1..2s", "0x10s", "."}) {
    EXPECT_FALSE(parse_go_duration(wrong).has_value()) << wrong;
  }
}

TEST(Values, KeepAliveIsANumberOrADuration) {
  const auto read = [](const char* json) { return read_keep_alive(Json::parse(json)); };
  EXPECT_EQ(*read("null"), std::nullopt);
  EXPECT_EQ(*read("0"), 0.0);
  EXPECT_EQ(*read("1.5"), 1.5);
  EXPECT_EQ(*read("-1"), kForEver);
  EXPECT_EQ(*read("\"-1m\""), kForEver);
  EXPECT_EQ(*read("\"24h\""), 86400.0);
  for (const char* wrong : {"true", "\"soon\"", "[]", "{}", "\"\""}) EXPECT_FALSE(read(wrong).has_value()) << wrong;
}

TEST(Values, TimesAreRfc3339) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(rfc3339(1706704496.5), "2024-01-31T12:34:56.500000000Z");
  EXPECT_EQ(rfc3339(951782400), "2000-02-29T00:00:00.000000000Z");
  EXPECT_EQ(rfc3339(1e15), "9999-12-31T23:59:59.000000000Z");
  EXPECT_EQ(rfc3339_now().size(), rfc3339(0).size());
  EXPECT_GT(rfc3339_now(), "2024");
}

TEST(Values, NumbersOfParametersAreRounded) {
  EXPECT_EQ(parameter_size(134515008), "134.52M");
  EXPECT_EQ(parameter_size(7615616512), "7.6B");
  EXPECT_EQ(parameter_size(206040), "206K");
  EXPECT_EQ(parameter_size(7), "7");
}

TEST(Values, NamesOfTheHub) {
  EXPECT_EQ(hub_name("hf.co/o/r:Q4_K_M"), "hf:o/r:Q4_K_M");
  EXPECT_EQ(hub_name("huggingface.co/o/r:latest"), "hf:o/r");
  EXPECT_EQ(hub_name("mine:latest"), "mine");
  EXPECT_EQ(hub_name("mine:7b"), "mine:7b");
  EXPECT_EQ(model_name("mine:latest"), "mine:latest");  // may be configured so; ModelStore forgives it
  EXPECT_EQ(model_name("hf.co/o/r:latest"), "hf:o/r");
}

std::string problem_of(const char* json) {
  Options options;
  std::vector<std::string> ignored;
  const auto problem = read_options(Json::parse(json), options, ignored);
  return problem ? problem->param + ": " + problem->message : "";
}

TEST(OllamaOptions, DefaultsAreOllamas) {
  const auto o = Options().for_engine(2048, 0);
  ASSERT_TRUE(o.has_value());
  EXPECT_FLOAT_EQ(o->sampling.temperature, 0.8f);
  EXPECT_EQ(o->sampling.top_k, 40);
  EXPECT_FLOAT_EQ(o->sampling.top_p, 0.9f);
  EXPECT_FLOAT_EQ(o->sampling.min_p, 0.0f);
  EXPECT_FLOAT_EQ(o->sampling.repeat_penalty, 1.1f);
  EXPECT_EQ(o->sampling.repeat_last_n, 64);
  EXPECT_EQ(o->n_ctx, 0u);
  EXPECT_EQ(o->max_tokens, 2048u);
  EXPECT_NE(o->sampling.seed, Options().for_engine(2048, 0)->sampling.seed);  // by chance
}

TEST(OllamaOptions, AllThatHasAnEffectReachesTheEngine) {
  Options options;
  std::vector<std::string> ignored;
  ASSERT_FALSE(
      read_options(Json::parse(R"({"num_ctx": 512, "num_predict": 7, "seed": 5, "temperature": 0.25, "top_k": 3,
    "top_p": 0.5, "min_p": 0.125, "typical_p": 0.75, "repeat_penalty": 1.5, "presence_penalty": 0.5,
    "frequency_penalty": -0.5, "repeat_last_n": -1, "stop": "end"})"),
                   options, ignored));
  EXPECT_TRUE(ignored.empty());
  const auto o = options.for_engine(2048, 3);
  ASSERT_TRUE(o.has_value());
  EXPECT_EQ(o->n_ctx, 512u);
  EXPECT_EQ(o->max_tokens, 7u);
  EXPECT_EQ(o->stop, std::vector<std::string>{"end"});
  const SamplingOptions& s = o->sampling;
  EXPECT_EQ(s.seed, 5u);
  EXPECT_EQ(s.top_k, 3);
  EXPECT_EQ(s.repeat_last_n, -1);
  EXPECT_FLOAT_EQ(s.temperature, 0.25f);
  EXPECT_FLOAT_EQ(s.top_p, 0.5f);
  EXPECT_FLOAT_EQ(s.min_p, 0.125f);
  EXPECT_FLOAT_EQ(s.typical_p, 0.75f);
  EXPECT_FLOAT_EQ(s.repeat_penalty, 1.5f);
  EXPECT_FLOAT_EQ(s.presence_penalty, 0.5f);
  EXPECT_FLOAT_EQ(s.frequency_penalty, -0.5f);
}

TEST(OllamaOptions, LimitsOfTheOutput) {
  const auto tokens = [](std::optional<int64_t> num_predict, std::optional<int64_t> num_ctx, size_t of_server) {
    Options options;
    options.num_predict = num_predict;
    options.num_ctx = num_ctx;
    return options.for_engine(1000, of_server)->max_tokens;
  };
  EXPECT_EQ(tokens({}, {}, 64), 64u);
  EXPECT_EQ(tokens(-1, {}, 64), 1000u);
  EXPECT_EQ(tokens(-2, 100, 64), 100u);
  EXPECT_EQ(tokens(INT64_MAX, {}, 0), 1000u);
  Options options;
  options.num_ctx = 1001;
  const auto refused = options.for_engine(1000, 0);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("1001"), std::string::npos);
  EXPECT_NE(refused.error().message.find("1000"), std::string::npos);
}

TEST(OllamaOptions, WhatIsWrongIsNamed) {
  EXPECT_NE(problem_of(R"({"temperature": -1})").find("options.temperature: 'temperature' is -1"), std::string::npos);
  EXPECT_NE(problem_of(R"({"num_ctx": 0})").find("num_ctx"), std::string::npos);
  EXPECT_NE(problem_of(R"({"mirostat": 2})").find("'mirostat' is not supported"), std::string::npos);
  EXPECT_NE(problem_of(R"({"stop": [1]})").find("stop"), std::string::npos);
  EXPECT_NE(problem_of("3").find("options: "), std::string::npos);
  EXPECT_EQ(problem_of("null"), "");
  EXPECT_EQ(problem_of(R"({"mirostat": 0, "temperature": null})"), "");
}

TEST(OllamaOptions, WhatHasNoEffectIsTold) {
  Options options;
  std::vector<std::string> ignored;
  ASSERT_FALSE(read_options(Json::parse(R"({"num_gpu": 1, "num_keep": 5, "tfs_z": 1, "surprise": 0, "top_k": 2})"),
                            options, ignored));
  EXPECT_EQ(ignored,
            (std::vector<std::string>{"options.tfs_z", "options.num_keep", "options.num_gpu", "options.surprise"}));
}

TEST(OllamaOptions, TheSchemaIsJson) {
  const Json schema = Json::parse(options_schema());
  EXPECT_EQ(schema["properties"]["top_k"]["default"], 40);
  EXPECT_TRUE(schema["properties"].contains("mirostat"));
}

}  // namespace
}  // namespace quern::server::ollama
