// The parts of tool calls in the server's APIs that need no model: what requests ask for, replies as JSON, calls kept.
#include <gtest/gtest.h>

#include "server/tools/reply_json.h"
#include "server/tools/sampled_calls.h"
#include "server/tools/tool_wish.h"

namespace quern::server {
namespace {

Json tool(const char* name) {
  return {{"type", "function"}, {"function", {{"name", name}, {"parameters", {{"type", "object"}}}}}};
}

Json named(const char* name) {
  return {{"type", "function"}, {"function", {{"name", name}}}};
}

struct Read {
  ToolWish wish;
  std::string param;  // of the problem, empty without one
};

Read read(const Json& tools, const Json& choice) {
  static ToolStore store;
  Read r;
  if (const auto problem = read_tools(tools, choice, true, store, r.wish)) r.param = problem->param;
  return r;
}

TEST(ToolWish, Choices) {
  const Json tools = Json::array({tool("clock"), tool("weather")});
  EXPECT_TRUE(read(tools, nullptr).wish.offered());
  EXPECT_FALSE(read(tools, "auto").wish.choice.required);
  EXPECT_FALSE(read(tools, "none").wish.offered());
  EXPECT_NE(read(tools, "none").wish.tools, nullptr);  // the history may have calls
  EXPECT_TRUE(read(tools, "required").wish.choice.required);
  EXPECT_EQ(read(tools, named("clock")).wish.choice.name, "clock");
  EXPECT_FALSE(read(Json::array(), nullptr).wish.offered());
  for (const Json& wrong : {Json("any"), Json(1), named("other"), Json{{"type", "allowed_tools"}}, Json::array()}) {
    EXPECT_EQ(read(tools, wrong).param, "tool_choice") << wrong;
  }
  EXPECT_EQ(read(Json::array(), "required").param, "tool_choice");
}

TEST(ToolWish, ToolsThatAreNone) {
  Json strict = tool("x"), schema = tool("x"), about = tool("x");
  strict["function"]["strict"] = "yes";
  schema["function"]["parameters"] = "x";
  about["function"]["description"] = 1;
  const std::pair<Json, const char*> cases[] = {{1, "tools[0]"},
                                                {{{"type", "custom"}}, "tools[0].type"},
                                                {{{"type", "function"}}, "tools[0].function"},
                                                {named("two words"), "tools"},
                                                {strict, "tools[0].function.strict"},
                                                {schema, "tools[0].function.parameters"},
                                                {about, "tools[0].function.description"}};
  for (const auto& [wrong, param] : cases) EXPECT_EQ(read(Json::array({wrong}), nullptr).param, param) << wrong;
  EXPECT_EQ(read(Json::array({tool("x"), tool("x")}), nullptr).param, "tools");
}

TEST(ToolWish, FlatAsInResponses) {
  static ToolStore store;
  const auto read_flat = [](const Json& tools, const Json& choice) {
    Read r;
    const auto problem = read_tools(tools, choice, true, store, r.wish, ToolShape::kFlat);
    if (problem) r.param = problem->param;
    return r;
  };
  const Json clock = {
      {"type", "function"}, {"name", "clock"}, {"parameters", {{"type", "object"}}}, {"strict", nullptr}};
  const Read good = read_flat(Json::array({clock}), Json{{"type", "function"}, {"name", "clock"}});
  EXPECT_EQ(good.param, "");
  EXPECT_EQ(good.wish.choice.name, "clock");
  EXPECT_EQ(good.wish.definitions, Json::array({tool("clock")}));  // as templates take it
  const auto wrong = [&](const char* member, const Json& value) {
    Json changed = clock;
    changed[member] = value;
    return read_flat(Json::array({clock, changed}), nullptr).param;
  };
  EXPECT_EQ(wrong("type", "web_search"), "tools[1].type");
  EXPECT_EQ(wrong("name", 1), "tools[1].name");
  EXPECT_EQ(wrong("parameters", "x"), "tools[1].parameters");
  EXPECT_EQ(wrong("defer_loading", true), "tools[1].defer_loading");
  EXPECT_EQ(wrong("name", "clock"), "tools");  // twice
  EXPECT_EQ(read_flat(Json::array({clock}), named("clock")).param, "tool_choice");
  EXPECT_EQ(read_flat(Json::array({tool("clock")}), nullptr).param, "tools[0].function");
}

TEST(ToolStore, TheSameToolsAreReadOnce) {
  ToolStore store;
  const Json tools = Json::array({tool("clock")});
  const auto first = store.get(tools);
  ASSERT_TRUE(first);
  EXPECT_EQ(*store.get(tools), *first);
  for (size_t i = 0; i < ToolStore::kMost; ++i) store.get(Json::array({tool(fmt::format("t{}", i).c_str())}));
  EXPECT_NE(*store.get(tools), *first);  // forgotten, and read anew
  Json large = tool("large");
  large["function"]["description"] = std::string(ToolStore::kLimit, 'x');
  EXPECT_EQ(store.get(Json::array({large})).error().code, ErrorCode::kTooLong);
}

TEST(ToolMessages, OllamasResultsFindTheirCalls) {
  Json messages = Json::parse(R"([
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a", "arguments": {}}},
      {"function": {"name": "b", "arguments": {}}}, {"function": {"name": "a", "arguments": {"x": 1}}}]},
    {"role": "tool", "tool_name": "b", "content": "1"}, {"role": "tool", "tool_name": "a", "content": "2"},
    {"role": "tool", "content": "3"}, {"role": "tool", "content": "4"}])");
  ASSERT_FALSE(check_tool_messages(messages));
  number_calls(messages);
  const Json& calls = messages[0]["tool_calls"];
  EXPECT_EQ(messages[1]["tool_call_id"], calls[1]["id"]);
  EXPECT_EQ(messages[2]["tool_call_id"], calls[0]["id"]);
  EXPECT_EQ(messages[3]["tool_call_id"], calls[2]["id"]);
  EXPECT_FALSE(messages[4].contains("tool_call_id"));
  EXPECT_EQ(messages[1]["name"], "b");
}

TEST(ToolMessages, OllamasThinkingIsReasoning) {
  Json messages = Json::parse(R"([{"role": "assistant", "content": "", "thinking": "hm"}])");
  ASSERT_FALSE(check_tool_messages(messages));
  number_calls(messages);
  EXPECT_EQ(messages[0]["reasoning_content"], "hm");
  messages[0]["thinking"] = 1;
  EXPECT_EQ(check_tool_messages(messages)->param, "messages[0].thinking");
}

TEST(ToolMessages, CallsThatAreNone) {
  for (const char* calls :
       {"1", "{}", "[1]", R"([{"function": {}}])", R"([{"function": {"name": "x", "arguments": 1}}])",
        R"([{"id": 1, "function": {"name": "x"}}])"}) {
    const Json messages = Json::array({{{"role", "assistant"}, {"tool_calls", Json::parse(calls)}}});
    const auto problem = check_tool_messages(messages);
    ASSERT_TRUE(problem) << calls;
    EXPECT_TRUE(problem->param.starts_with("messages[0].tool_calls")) << problem->param;
  }
}

SampledReply reply_of(const std::string& id, const std::string& arguments) {
  return {.text = "<" + arguments + ">", .ids = {1, 2}, .calls = {{id, "clock", arguments, "<" + arguments + ">"}}};
}

TEST(SampledCalls, AreFoundByIdElseByContent) {
  SampledCalls kept;
  kept.keep("me", reply_of("a", R"({"x":1,  "y":2})"));
  kept.keep("me", reply_of("b", R"({ "y":2,"x":1})"));
  const auto text = [&](const char* tenant, const char* id, const char* name, const char* arguments) {
    const SampledCall found = kept.find(tenant, {id, name, arguments, {}});
    return found.reply ? found.reply->text : "";
  };
  EXPECT_EQ(text("me", "a", "clock", R"({"y": 2, "x": 1})"), R"(<{"x":1,  "y":2}>)");
  EXPECT_EQ(text("me", "", "clock", R"({"x": 1, "y": 2})"), R"(<{ "y":2,"x":1}>)");
  EXPECT_EQ(text("me", "other", "clock", R"({"x": 1, "y": 2})"), R"(<{ "y":2,"x":1}>)");
  EXPECT_EQ(text("me", "a", "clock", R"({"x": 2})"), "");  // the client has changed it
  EXPECT_EQ(text("me", "a", "other", R"({"x": 1, "y": 2})"), "");
  EXPECT_EQ(text("me", "a", "clock", "no JSON"), "");
  EXPECT_EQ(text("you", "a", "clock", R"({"x": 1, "y": 2})"), "");
}

TEST(SampledCalls, TheOldestAreForgotten) {
  SampledCalls kept;
  const std::string large = "{\"x\":\"" + std::string(SampledCalls::kMostBytes / 16, 'x') + "\"}";
  kept.keep("", reply_of("first", "{}"));
  for (int i = 0; i < 8; ++i) kept.keep("", reply_of(fmt::format("large{}", i), large));
  EXPECT_LT(kept.size(), 8u);
  EXPECT_FALSE(kept.find("", {"first", "clock", "{}", {}}).reply);
  EXPECT_TRUE(kept.find("", {"large7", "clock", large, {}}).reply);
  for (size_t i = 0; i < SampledCalls::kMostReplies + 9; ++i) kept.keep("", reply_of(fmt::format("{}", i), "{}"));
  EXPECT_EQ(kept.size(), SampledCalls::kMostReplies);
}

TEST(ReplyJson, OpenAisMessageAndOllamasCall) {
  ParsedReply reply;
  reply.reasoning = "hm";
  reply.calls = {{"id1", "clock", R"({"a":"\n"})", "raw"}};
  std::string text = "{";
  append_openai_message(text, reply);
  const Json message = Json::parse(text + "}");
  EXPECT_TRUE(message["content"].is_null());
  EXPECT_EQ(message["reasoning_content"], "hm");
  EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], R"({"a":"\n"})");
  EXPECT_EQ(message["tool_calls"][0]["id"], "id1");
  std::string call;
  append_ollama_call(call, reply.calls[0], 3);
  EXPECT_EQ(Json::parse(call)["function"], Json::parse(R"({"index": 3, "name": "clock", "arguments": {"a": "\n"}})"));
  text = "{";
  append_openai_message(text, {.content = "x", .reasoning = {}, .calls = {}, .problems = {}});
  EXPECT_EQ(Json::parse(text + "}"), Json({{"content", "x"}}));
}

TEST(ReplyJson, DeltasAddUpToAMessage) {
  using tools::Delta;
  const auto member = [](const Delta& delta) {
    std::string text = "{";
    return append_openai_delta(text, delta) ? Json::parse(text + "}") : Json();
  };
  const Json begin = member({Delta::Kind::kCallBegin, 1, "clock", "id1"});
  EXPECT_EQ(begin["tool_calls"][0], Json::parse(R"({"index": 1, "id": "id1", "type": "function",
    "function": {"name": "clock", "arguments": ""}})"));
  const Json piece = member({Delta::Kind::kArguments, 1, "{\"", {}});
  EXPECT_EQ(piece["tool_calls"][0], Json::parse(R"({"index": 1, "function": {"arguments": "{\""}})"));
  EXPECT_EQ(member({Delta::Kind::kReasoning, 0, "hm", {}}), Json({{"reasoning_content", "hm"}}));
  EXPECT_TRUE(member({Delta::Kind::kCallEnd, 1, {}, {}}).is_null());
  std::string problems = "{\"a\":1";
  append_call_problems(problems, {"why"});
  EXPECT_EQ(Json::parse(problems + "}")["quern"]["call_problems"], Json::array({"why"}));
}

}  // namespace
}  // namespace quern::server
