// The responses API's items, in and out.
#include <gtest/gtest.h>

#include "server/openai/response_input.h"
#include "server/openai/response_output.h"

namespace quern::server {
namespace {

using tools::Delta;

// The messages, or the member that is wrong.
Json messages_of(const char* input, const std::string& instructions = "") {
  Json messages;
  if (const auto problem = input_messages(Json::parse(input), instructions, messages)) return problem->param;
  return messages;
}

TEST(ResponseInput, TextsAndMessages) {
  EXPECT_EQ(messages_of(R"("hello")", "be brief"),
            Json::parse(R"([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}])"));
  EXPECT_EQ(messages_of(R"([{"type": "message", "id": "m", "status": "completed", "role": "assistant",
    "content": [{"type": "output_text", "text": "a", "annotations": []}]}])"),
            Json::parse(R"([{"role": "assistant", "content": "a"}])"));
}

TEST(ResponseInput, ATurnOfTheAssistantIsOneMessage) {
  const Json messages = messages_of(R"([
    {"role": "user", "content": "q"},
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "not this"}],
     "content": [{"type": "reasoning_text", "text": "hm"}]},
    {"role": "assistant", "content": "let me see"},
    {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{\"x\": 1}"},
    {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
    {"type": "function_call_output", "call_id": "a", "output": "1"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}], "encrypted_content": "zzz"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"role": "assistant", "content": "one"}, {"role": "assistant", "content": "two"}])");
  EXPECT_EQ(messages, Json::parse(R"([
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "let me see", "reasoning_content": "hm", "tool_calls": [
      {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
      {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "b", "content": "2"},
    {"role": "tool", "tool_call_id": "a", "content": "1"},
    {"role": "assistant", "content": "", "reasoning_content": "so", "tool_calls": [
      {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "content": "one"}, {"role": "assistant", "content": "two"}])"));
}

TEST(ResponseInput, SaysWhatIsWrongAndWhere) {
  for (const auto& [input, param] :
       {std::pair{"[]", "input"},
        {"7", "input"},
        {"{}", "input"},
        {"[7]", "input[0]"},
        {R"([{"type": "web_search_call"}])", "input[0].type"},
        {R"([{"type": {}, "role": "user", "content": ""}])", "input[0].type"},
        {R"([{"role": "user", "content": [{"type": "input_image"}]}])", "input[0].content[0]"},
        {R"([{"role": "tool", "content": "x"}])", "input[0]"},
        {R"([{"role": "assistant", "tool_calls": []}])", "input[0]"},
        {R"([{"type": "function_call", "name": "f"}])", "input[0].call_id"},
        {R"([{"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}])", "input[0].arguments"},
        {R"([{"type": "function_call_output", "call_id": 1}])", "input[0].call_id"},
        {R"([{"type": "function_call_output", "call_id": "a", "output": "x"}])", "input[0].call_id"},
        {R"([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "a"}])",
         "input[1].output"},
        {R"([{"type": "reasoning", "content": "x"}])", "input[0].content"},
        {R"([{"type": "reasoning", "summary": [{}]}])", "input[0].summary[0].text"}}) {
    EXPECT_EQ(messages_of(input), param) << input;
  }
}

struct Told {
  std::string type;
  Json members;
};

Delta delta(Delta::Kind kind, std::string text = {}, std::string id = {}) {
  return {.kind = kind, .call = 0, .text = std::move(text), .id = std::move(id)};
}

// What the events add up to is what finish() gives.
Json items_of(const std::vector<Delta>& deltas, std::string_view status, std::vector<Told>& told) {
  ResponseOutput output("7", [&](std::string_view type, std::string_view members) {
    told.push_back({std::string(type), Json::parse("{\"a\":1" + std::string(members) + "}")});
  });
  for (const Delta& d : deltas) output.add(d);
  const Json items = output.finish(status);
  Json done = Json::array();
  std::string pieces;
  for (const Told& t : told) {
    if (t.type == "response.output_item.added") {
      EXPECT_EQ(t.members["output_index"], done.size());
      EXPECT_EQ(t.members["item"]["status"], "in_progress");
    }
    if (t.type.ends_with(".delta")) pieces += t.members["delta"].get<std::string>();
    if (t.type == "response.output_item.done") done.push_back(t.members["item"]);
    if (t.type == "response.output_item.added") continue;
    if (t.members.contains("item_id")) {
      EXPECT_NE(t.members["item_id"].get<std::string>().find("_7_"), std::string::npos);
    }
  }
  EXPECT_EQ(done, items);
  std::string text;
  for (const Json& item : items) {
    text += item["type"] == "function_call" ? item["arguments"].get<std::string>()
                                            : item["content"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(pieces, text);
  return items;
}

TEST(ResponseOutput, ItemsFollowEachOther) {
  using Kind = Delta::Kind;
  std::vector<Told> told;
  const Json items =
      items_of({delta(Kind::kReasoning, "h"), delta(Kind::kReasoning, "m"), delta(Kind::kContent, "\"so\""),
                delta(Kind::kCallBegin, "f", "a"), delta(Kind::kArguments, "{"), delta(Kind::kArguments, "}"),
                delta(Kind::kCallEnd), delta(Kind::kCallBegin, "g", "b"), delta(Kind::kCallEnd)},
               "completed", told);
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0]["type"], "reasoning");
  EXPECT_EQ(items[0]["content"][0], Json::parse(R"({"type": "reasoning_text", "text": "hm"})"));
  EXPECT_EQ(items[1]["content"][0]["text"], "\"so\"");
  EXPECT_EQ(items[2], Json::parse(R"({"id": "fc_7_2", "type": "function_call", "status": "completed", "call_id": "a",
    "name": "f", "arguments": "{}"})"));
  EXPECT_EQ(items[3]["call_id"], "b");
  ResponseOutput whole("7");
  whole.add(ParsedReply{
      .content = "\"so\"", .reasoning = "hm", .calls = {{"a", "f", "{}", ""}, {"b", "g", "", ""}}, .problems = {}});
  EXPECT_EQ(whole.finish("completed"), items);
}

TEST(ResponseOutput, WhatIsCutIsIncomplete) {
  using Kind = Delta::Kind;
  std::vector<Told> told;
  const Json lost = items_of({delta(Kind::kCallBegin, "f", "a"), delta(Kind::kArguments, "{\"x"),
                              delta(Kind::kCallLost), delta(Kind::kContent, "<f>{\"x")},
                             "incomplete", told);
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0]["status"], "incomplete");
  EXPECT_EQ(lost[1]["status"], "incomplete");
  told.clear();
  const Json nothing = items_of({}, "completed", told);
  ASSERT_EQ(nothing.size(), 1u);
  EXPECT_EQ(nothing[0]["content"][0]["text"], "");
  ASSERT_EQ(told.size(), 5u);
}

}  // namespace
}  // namespace quern::server
