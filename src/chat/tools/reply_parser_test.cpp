#include "chat/tools/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTools = R"([
  {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
    "city": {"type": "string"}, "days": {"type": "integer"}, "opts": {"type": "object"}}, "required": ["city"]}}},
  {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {
    "a": {"type": "number"}, "b": {"type": "number"}}}}},
  {"type": "function", "function": {"name": "clock"}}])";

std::shared_ptr<const ToolSet> tool_set() {
  auto set = ToolSet::read(Json::parse(kTools));
  EXPECT_TRUE(set);
  return std::make_shared<const ToolSet>(*set);
}

// A format whose template is nothing but the marker that tells the family.
ToolFormat format_of(std::string_view source) {
  const auto chat_template = ChatTemplate::parse("x");
  return ToolFormat::of(source, *chat_template);
}

struct Told {
  ParsedReply reply;
  std::string content, reasoning;
  std::vector<ToolCall> calls;  // from the deltas; lost ones are gone
};

Told parse(const ToolFormat& format, std::string_view text, size_t piece, bool reasoning_open = false) {
  ReplyParser parser(format, tool_set(), {.reasoning_open = reasoning_open, .id_seed = 7});
  Told told;
  std::map<size_t, ToolCall> calls;
  const auto take = [&](const std::vector<Delta>& deltas) {
    for (const Delta& delta : deltas) {
      switch (delta.kind) {
        case Delta::Kind::kContent: told.content += delta.text; break;
        case Delta::Kind::kReasoning: told.reasoning += delta.text; break;
        case Delta::Kind::kCallBegin: calls[delta.call] = {delta.id, delta.text, {}, {}}; break;
        case Delta::Kind::kArguments: calls[delta.call].arguments += delta.text; break;
        case Delta::Kind::kCallEnd: told.calls.push_back(calls[delta.call]); break;
        case Delta::Kind::kCallLost: calls.erase(delta.call); break;
      }
    }
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.feed(text.substr(i, piece)));
  std::vector<Delta> rest;
  told.reply = parser.finish(&rest);
  take(rest);
  return told;
}

// Whole and byte by byte give the same; so do the deltas, but for calls in plain text.
ParsedReply parse(const ToolFormat& format, std::string_view text, bool reasoning_open = false) {
  const Told whole = parse(format, text, text.size() + 1, reasoning_open), bytes = parse(format, text, 1, reasoning_open);
  EXPECT_EQ(whole.reply.content, bytes.reply.content) << text;
  EXPECT_EQ(whole.reply.reasoning, bytes.reply.reasoning) << text;
  EXPECT_EQ(whole.reply.problems, bytes.reply.problems) << text;
  EXPECT_EQ(whole.content, bytes.content) << text;
  EXPECT_EQ(whole.reasoning, whole.reply.reasoning) << text;
  for (const Told* told : {&whole, &bytes}) {
    EXPECT_EQ(told->calls.size(), told->reply.calls.size()) << text;
    for (size_t i = 0; i < std::min(told->calls.size(), told->reply.calls.size()); ++i) {
      EXPECT_EQ(told->calls[i].name, whole.reply.calls[i].name);
      EXPECT_EQ(told->calls[i].id, whole.reply.calls[i].id);
      EXPECT_EQ(told->calls[i].arguments, whole.reply.calls[i].arguments);
      EXPECT_EQ(told->reply.calls[i].raw, whole.reply.calls[i].raw);
    }
  }
  return whole.reply;
}

std::string show(const ParsedReply& reply) {
  std::string out = reply.content;
  for (const ToolCall& call : reply.calls) {
    const Json arguments = Json::parse(call.arguments, nullptr, false);
    out += "|" + call.name + (arguments.is_discarded() ? "?" + call.arguments : arguments.dump());
  }
  return out;
}

constexpr const char* kHermesSource = "<tool_call>";
constexpr const char* kWeather = R"(|get_weather{"city":"Ulm","days":2})";

TEST(ReplyParser, ReadsEachFamily) {
  const struct {
    const char *source, *text;
  } cases[] = {
      {"<tool_call>", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}\n</tool_call>"},
      {"<tool_call>", "<tool_call>{\"arguments\": {\"city\": \"Ulm\", \"days\": 2}, \"name\": \"get_weather\"}</tool_call>"},
      {"<tool_call>", "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Ulm\\\",\\\"days\\\":2}\"}</tool_call>"},
      {"<tool_call><function=",
       "<tool_call>\n<function=get_weather>\n<parameter=city>\nUlm\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
       "</function>\n</tool_call>"},
      {"<tool_call>",  // written as Qwen3-Coder does
       "<tool_call><function=get_weather><parameter=city>Ulm</parameter><parameter=days>2</parameter></function></tool_call>"},
      {"<seed:tool_call>",
       "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Ulm</parameter>\n<parameter=days>2</parameter>\n"
       "</function>\n</seed:tool_call>"},
      {"<|python_tag|>\"parameters\"", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Ulm\", \"days\": 2}}"},
      {"<|python_tag|>\"parameters\"",
       "<|python_tag|>{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {\"city\": \"Ulm\", \"days\": 2}}"},
      {"<|python_tag|>\"parameters\"", "<|python_tag|>get_weather.call(city=\"Ulm\", days=2)"},
      {"[TOOL_CALLS]", "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
      {"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Ulm\", \"days\": 2}"},
      {"[TOOL_CALLS][CALL_ID]", "[TOOL_CALLS]get_weather[CALL_ID]abcdef123[ARGS]{\"city\": \"Ulm\", \"days\": 2}"},
      {"<｜tool▁call",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Ulm\", \"days\": "
       "2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
      {"<｜tool▁call",  // V3.1
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Ulm\", \"days\": 2}<｜tool▁call▁end｜>"
       "<｜tool▁calls▁end｜>"},
      {"｜DSML｜function_calls",
       "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" "
       "string=\"true\">Ulm</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n"
       "</｜DSML｜invoke>\n</｜DSML｜function_calls>"},
      {"<function=</function>", "<function=get_weather>{\"city\": \"Ulm\", \"days\": 2}</function>"},
      {"<arg_key></arg_key>\n",
       "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Ulm</arg_value>\n<arg_key>days</arg_key>\n"
       "<arg_value>2</arg_value>\n</tool_call>"},
      {"<arg_key>", "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Ulm</arg_value><arg_key>days</arg_key>"
                    "<arg_value>2</arg_value></tool_call>"},
      {"<|channel|> to=functions.",
       "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Ulm\", \"days\": 2}<|call|>"},
      {"<|channel|> to=functions.",
       "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Ulm\", \"days\": 2}"},
      {"<|tool_calls_section_begin|>",
       "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Ulm\", "
       "\"days\": 2}<|tool_call_end|><|tool_calls_section_end|>"},
      {"<|START_ACTION|>",
       "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Ulm\", "
       "\"days\": 2}}\n]<|END_ACTION|>"},
      {"Action: tool_name",
       "\nAction:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": {\"city\": \"Ulm\", "
       "\"days\": 2}\n    }\n]```"},
      {"<|tool_call|>", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
      {"List of tools: ", "<|tool_call_start|>[get_weather(city=\"Ulm\", days=2)]<|tool_call_end|>"},
      {"functools[", " functools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
      {"<|tool_call>call:", "<|tool_call>call:get_weather{city:<|\"|>Ulm<|\"|>,days:2}<tool_call|>"},
      {"minimax:tool_call",
       "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Ulm</parameter>\n<parameter "
       "name=\"days\">2</parameter>\n</invoke>\n</minimax:tool_call>"},
      {"<tool_calls>[", "<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]</tool_calls>"},
      {"<|tools_prefix|>", "<|tools_prefix|>[{\"get_weather\": {\"city\": \"Ulm\", \"days\": 2}}]<|tools_suffix|>"},
      {"function call <|role_sep|>",
       "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}"},
      {"<|function_call|>", "<|function_call|>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}<|message_sep|>"},
      {"none", "{\"tool_calls\": [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]}"},
      {"none", "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.source);
    const ToolFormat format = format_of(c.source);
    EXPECT_EQ(show(parse(format, c.text)), kWeather) << format.name();
    const ParsedReply before = parse(format, std::string("It is said.\n") + c.text);
    if (format.family().where == Where::kAnywhere) {
      EXPECT_EQ(show(before), std::string("It is said.") + kWeather);
    }
    EXPECT_THAT(parse(format, c.text).problems, IsEmpty());
    // Without knowing the format.
    const auto any = parse_tool_calls(c.text, kTools);
    ASSERT_TRUE(any);
    const bool framed = format.name() == "harmony" || format.name() == "gigachat3" || format.name() == "gigachat3.1";
    const std::string shown = show(*any);
    EXPECT_EQ(framed ? shown.substr(shown.find('|', shown.find("get_weather") - 1)) : shown, kWeather);
  }
}

}  // namespace
}  // namespace quern::tools
