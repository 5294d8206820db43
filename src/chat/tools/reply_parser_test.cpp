#include "chat/tools/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"

namespace quern::tools {
namespace {

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
        case Delta::Kind::kContent:
          told.content += delta.text;
          break;
        case Delta::Kind::kReasoning:
          told.reasoning += delta.text;
          break;
        case Delta::Kind::kCallBegin:
          calls[delta.call] = {delta.id, delta.text, {}, {}};
          break;
        case Delta::Kind::kArguments:
          calls[delta.call].arguments += delta.text;
          break;
        case Delta::Kind::kCallEnd:
          told.calls.push_back(calls[delta.call]);
          break;
        case Delta::Kind::kCallLost:
          calls.erase(delta.call);
          break;
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
  const Told whole = parse(format, text, text.size() + 1, reasoning_open),
             bytes = parse(format, text, 1, reasoning_open);
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

constexpr const char* kWeather = R"(|get_weather{"city":"Ulm","days":2})";

struct Case {
  const char *source, *text;  // what tells the family, and a call as it writes it
};
constexpr Case kCases[] = {
    {"<tool_call>",
     "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}\n</tool_call>"},
    {"<tool_call>",
     "<tool_call>{\"arguments\": {\"city\": \"Ulm\", \"days\": 2}, \"name\": \"get_weather\"}</tool_call>"},
    {"<tool_call>",
     "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Ulm\\\",\\\"days\\\":2}\"}</tool_call>"},
    {"<tool_call><function=",
     "<tool_call>\n<function=get_weather>\n<parameter=city>\nUlm\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
     "</function>\n</tool_call>"},
    {"<tool_call>",  // written as Qwen3-Coder does
     "<tool_call><function=get_weather><parameter=city>Ulm</parameter><parameter=days>2</parameter></function></"
     "tool_call>"},
    {"<seed:tool_call>",
     "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Ulm</parameter>\n<parameter=days>2</parameter>\n"
     "</function>\n</seed:tool_call>"},
    {"ipython \"parameters\": ", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Ulm\", \"days\": 2}}"},
    {"ipython \"parameters\": ",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {\"city\": \"Ulm\", \"days\": "
     "2}}"},
    {"ipython \"parameters\": ", "<|python_tag|>get_weather.call(city=\"Ulm\", days=2)"},
    {"[TOOL_CALLS]", "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
    {"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Ulm\", \"days\": 2}"},
    {"[TOOL_CALLS][CALL_ID]", "[TOOL_CALLS]get_weather[CALL_ID]abcdef123[ARGS]{\"city\": \"Ulm\", \"days\": 2}"},
    {"<｜tool▁call",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Ulm\", "
     "\"days\": "
     "2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"<｜tool▁call",  // V3.1
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Ulm\", \"days\": "
     "2}<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>"},
    {"｜DSML｜function_calls",
     "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" "
     "string=\"true\">Ulm</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" "
     "string=\"false\">2</｜DSML｜parameter>\n"
     "</｜DSML｜invoke>\n</｜DSML｜function_calls>"},
    {"<function=</function>", "<function=get_weather>{\"city\": \"Ulm\", \"days\": 2}</function>"},
    {"<arg_key></arg_key>\n",
     "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Ulm</arg_value>\n<arg_key>days</arg_key>\n"
     "<arg_value>2</arg_value>\n</tool_call>"},
    {"<arg_key>",
     "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Ulm</arg_value><arg_key>days</arg_key>"
     "<arg_value>2</arg_value></tool_call>"},
    {"<|channel|> to=functions.",
     "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Ulm\", \"days\": "
     "2}<|call|>"},
    {"<|channel|> to=functions.",
     "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Ulm\", \"days\": "
     "2}"},
    {"<|tool_calls_section_begin|>",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": "
     "\"Ulm\", "
     "\"days\": 2}<|tool_call_end|><|tool_calls_section_end|>"},
    {"<|START_ACTION|>",
     "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": "
     "\"Ulm\", "
     "\"days\": 2}}\n]<|END_ACTION|>"},
    {"Action: tool_name",
     "\nAction:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": {\"city\": "
     "\"Ulm\", "
     "\"days\": 2}\n    }\n]```"},
    {"<|tool_call|>", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
    {"List of tools: ", "<|tool_call_start|>[get_weather(city=\"Ulm\", days=2)]<|tool_call_end|>"},
    {"functools[", " functools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]"},
    {"<|tool_call>call:", "<|tool_call>call:get_weather{city:<|\"|>Ulm<|\"|>,days:2}<tool_call|>"},
    {"minimax:tool_call",
     "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Ulm</parameter>\n<parameter "
     "name=\"days\">2</parameter>\n</invoke>\n</minimax:tool_call>"},
    {"<tool_calls>[",
     "<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]</tool_calls>"},
    {"<|tools_prefix|>", "<|tools_prefix|>[{\"get_weather\": {\"city\": \"Ulm\", \"days\": 2}}]<|tools_suffix|>"},
    {"function call <|role_sep|>",
     "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", "
     "\"days\": 2}}"},
    {"<|function_call|>",
     "<|function_call|>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}<|message_sep|>"},
    {"none", "{\"tool_calls\": [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}]}"},
    {"none", "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", \"days\": 2}}"},
};

TEST(ReplyParser, ReadsEachFamily) {
  for (const Case& c : kCases) {
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

TEST(ReplyParser, ReadsSeveralCallsAndTextAround) {
  const ToolFormat hermes = format_of("<tool_call>");
  const std::string text =
      "I look.\n\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": "
      "\"clock\"}\n</tool_call>\nDone.";
  const ParsedReply reply = parse(hermes, text);
  EXPECT_EQ(show(reply), "I look.\nDone.|add{\"a\":1}|clock{}");
  ASSERT_EQ(reply.calls.size(), 2u);
  EXPECT_EQ(reply.calls[0].raw + reply.calls[1].raw, text.substr(9, text.size() - 9 - 6));
  EXPECT_EQ(reply.calls[0].arguments, "{\"a\": 1}");
  EXPECT_EQ(reply.calls[0].id.size(), 9u);
  EXPECT_NE(reply.calls[0].id, reply.calls[1].id);
  const ParsedReply kimi =
      parse(format_of("<|tool_calls_section_begin|>"),
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.clock:0<|tool_call_argument_begin|>{}"
            "<|tool_call_end|><|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>{\"b\":2}"
            "<|tool_call_end|><|tool_calls_section_end|>");
  EXPECT_EQ(show(kimi), "|clock{}|add{\"b\":2}");
  EXPECT_EQ(kimi.calls[1].id, "functions.add:1");
  EXPECT_EQ(show(parse(format_of("List of tools: "), "<|tool_call_start|>[clock(), add(1, b=2.5)]<|tool_call_end|>")),
            "|clock{}|add{\"a\":1,\"b\":2.5}");
  EXPECT_EQ(show(parse(format_of("ipython \"parameters\": "),
                       "{\"name\": \"clock\", \"parameters\": {}}; {\"name\": \"add\", "
                       "\"parameters\": {\"a\": 1}}")),
            "; {\"name\": \"add\", \"parameters\": {\"a\": 1}}|clock{}");
}

TEST(ReplyParser, SplitsReasoningOff) {
  const ToolFormat hermes = format_of("<tool_call>");
  const ParsedReply own = parse(hermes, "<think>\nA <tool_call> {\"name\"\n</think>\n\nText </think> <think>");
  EXPECT_EQ(own.reasoning, "A <tool_call> {\"name\"");
  EXPECT_EQ(own.content, "Text </think> <think>");
  const ParsedReply opened = parse(hermes, "Well.\n</think>\n\n<tool_call>{\"name\": \"clock\"}</tool_call>", true);
  EXPECT_EQ(opened.reasoning, "Well.");
  EXPECT_EQ(show(opened), "|clock{}");
  EXPECT_EQ(parse(hermes, "never ended </thin", true).reasoning, "never ended </thin");
  const ParsedReply within = parse(hermes, "I call. <tool_call>{\"name\": \"clock\"}</tool_call> So.", true);
  EXPECT_EQ(within.reasoning, "I call.");
  EXPECT_EQ(show(within), "So.|clock{}");
  EXPECT_EQ(parse(hermes, "It is <think> that.").content, "It is <think> that.");
  const ParsedReply harmony =
      parse(format_of("<|channel|> to=functions."),
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.");
  EXPECT_EQ(harmony.reasoning, "Hm.");
  EXPECT_EQ(harmony.content, "Yes.");
  const ParsedReply gemma = parse(format_of("<|tool_call>call: <|channel>"), "<|channel>thought\nHm.\n<channel|>Yes.");
  EXPECT_EQ(gemma.reasoning, "Hm.");
  EXPECT_EQ(gemma.content, "Yes.");
}

TEST(ReplyParser, KnowsWhetherAPromptOpensReasoning) {
  const ToolFormat format = format_of("<tool_call>");
  EXPECT_TRUE(format.opens_reasoning("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(format.opens_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(format.opens_reasoning(""));
}

TEST(ReplyParser, MalformedCallsAreTextWithAReason) {
  const struct {
    const char *source, *text, *reason;
  } cases[] = {
      {"<tool_call>", "<tool_call>\n{\"name\": \"nobody\", \"arguments\": {}}\n</tool_call>", "'nobody'"},
      {"<tool_call>", "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1", "ends within"},
      {"<tool_call>", "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": oh}}\n</tool_call>", "malformed JSON"},
      {"<tool_call>", "<tool_call>\n{\"name\": \"add\", \"arguments\": [1]}\n</tool_call>", "must be a JSON object"},
      {"<tool_call>", "<tool_call>", "where a call begins"},
      {"<tool_call>", "<tool_call>{\"arguments\": {}}</tool_call>", "no name"},
      {"<tool_call><function=", "<tool_call>\n<function=add>\n<parameter=a>\n1\n</function>", "ends within"},
      {"<tool_call><function=", "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=a>\n",
       "twice"},
      {"<tool_call><function=", "<tool_call>\n<function=add>\nno</function>", "must follow"},
      {"[TOOL_CALLS]", "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {}}, 5]", "must hold calls"},
      {"<|tool_call>call:", "<|tool_call>call:add{a:}<tool_call|>", "malformed arguments"},
      {"List of tools: ", "<|tool_call_start|>[add(a=)]<|tool_call_end|>", "malformed arguments"},
      {"<｜tool▁call", "<｜tool▁calls▁begin｜>so<｜tool▁calls▁end｜>", "must follow"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const ToolFormat format = format_of(c.source);
    const ParsedReply reply = parse(format, c.text);
    std::string all;
    for (const ToolCall& call : reply.calls) all += call.raw;
    EXPECT_EQ(all + reply.content, c.text);
    ASSERT_EQ(reply.problems.size(), 1u);
    EXPECT_THAT(reply.problems[0], HasSubstr(c.reason));
  }
  // What follows a broken call is read.
  EXPECT_EQ(show(parse(format_of("<tool_call>"), "<tool_call>\n<tool_call>{\"name\": \"clock\"}</tool_call>")),
            "<tool_call>|clock{}");
}

TEST(ReplyParser, ReadsCallsInPlainText) {
  const char* texts[] = {
      "```json\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n```",
      R"(```
{"tool_calls": [{"type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}}]}
```)",
      "[{\"name\": \"add\", \"parameters\": {\"a\": 1}}]",
      "{\"function\": \"add\", \"arguments\": {\"a\": 1}}",
      "add(a=1)",
      "[add(a=1)]",
      "```python\nadd(1)\n```",
      "```tool_code\nadd(a=1)\n```",
      "<function=add>{\"a\": 1}</function>",
      "<tool_call><function=add><parameter=a>1</parameter></function></tool_call>",
      "<invoke name=\"add\"><parameter name=\"a\">1</parameter></invoke>",
      "[TOOL_CALLS]add[ARGS]{\"a\": 1}",
  };
  const ToolFormat other = format_of("<|tool_call>call:");
  for (const char* text : texts) {
    EXPECT_EQ(show(parse(other, text)), "|add{\"a\":1}") << text;
    ReplyParser parser(other, tool_set());
    parser.feed(std::string("Let me add.\n\n") + text + "\n");
    EXPECT_EQ(show(parser.finish()), "Let me add.|add{\"a\":1}") << text;
    const auto any = parse_tool_calls(text, kTools);
    ASSERT_TRUE(any);
    EXPECT_EQ(show(*any), "|add{\"a\":1}") << text;
  }
  for (const char* text :
       {"{\"answer\": 42}", "{\"name\": \"Ann\", \"arguments\": {}}", "print(a=1)", "I call add(a=1) now.",
        "add(a=1) is how", "```json\n{\"a\": 1}\n```", "[1, 2]", "add(", "", " \n", "{\"name\": \"add\""}) {
    const ParsedReply reply = parse(other, text);
    EXPECT_EQ(reply.content, text);
    EXPECT_THAT(reply.calls, IsEmpty());
  }
  EXPECT_THAT(parse(other, "{\"answer\": 42}").problems, IsEmpty());
}

TEST(ReplyParser, ArgumentsTakeTheirTypesFromTheSchema) {
  const auto set = ToolSet::read(Json::parse(R"([{"name": "f", "parameters": {"properties": {
    "s": {"type": "string"}, "n": {"type": "number"}, "o": {"type": "object"}, "any": {}, "maybe": {"type": ["string", "null"]}}}}])"));
  ASSERT_TRUE(set);
  const auto arguments = [&](std::string_view key, const std::string& value) {
    ReplyParser parser(format_of("<arg_key>"), std::make_shared<const ToolSet>(*set));
    parser.feed("<tool_call>f<arg_key>" + std::string(key) + "</arg_key><arg_value>" + value +
                "</arg_value></tool_call>");
    return parser.finish().calls.at(0).arguments;
  };
  EXPECT_EQ(arguments("s", "5"), R"({"s": "5"})");
  EXPECT_EQ(arguments("n", "5"), R"({"n": 5})");
  EXPECT_EQ(arguments("n", "five"), R"({"n": "five"})");
  EXPECT_EQ(arguments("o", "{'a': True}"), R"({"o": {"a":true}})");
  EXPECT_EQ(arguments("any", "[1]"), R"({"any": [1]})");
  EXPECT_EQ(arguments("any", "\"q\""), R"({"any": "q"})");
  EXPECT_EQ(arguments("maybe", "null"), R"({"maybe": null})");
  EXPECT_EQ(arguments("maybe", "7"), R"({"maybe": "7"})");
  EXPECT_EQ(arguments("other", "x \"y\""), R"({"other": "x \"y\""})");
}

TEST(ReplyParser, HoldsBackOnlyWhatMayBecomeAMarker) {
  ReplyParser parser(format_of("<tool_call>"), tool_set());
  const auto content = [&](std::string_view text) {
    std::string out;
    for (const Delta& delta : parser.feed(text)) {
      EXPECT_EQ(delta.kind, Delta::Kind::kContent);
      out += delta.text;
    }
    return out;
  };
  EXPECT_EQ(content("Hi"), "Hi");
  EXPECT_EQ(content(" <tool"), "");
  EXPECT_EQ(content("box"), " <toolbox");
  EXPECT_EQ(content("\n"), "");
  EXPECT_EQ(content("x<"), "\nx");
  const std::vector<Delta> deltas = parser.feed("tool_call>{\"name\": \"add\", \"arguments\": {\"a\"");
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0].kind, Delta::Kind::kCallBegin);
  EXPECT_EQ(deltas[0].text, "add");
  EXPECT_EQ(deltas[1].text, "{\"a\"");
}

TEST(ReplyParser, WithoutToolsNothingIsACall) {
  const std::string text = "<tool_call>{\"name\": \"add\"}</tool_call>\n```json\n{\"name\": \"add\"}\n``` ";
  ReplyParser parser(format_of("<tool_call>"), std::make_shared<const ToolSet>());
  parser.feed(text);
  EXPECT_EQ(parser.finish().content, text);
}

TEST(ParseToolCalls, RefusesOnlyWrongTools) {
  EXPECT_FALSE(parse_tool_calls("x", "{"));
  EXPECT_FALSE(parse_tool_calls("x", "{}"));
  EXPECT_FALSE(parse_tool_calls("x", R"([{"name": "a b"}])"));
  EXPECT_FALSE(parse_tool_calls("x", R"([{"name": "a"}, {"name": "a"}])"));
  EXPECT_FALSE(parse_tool_calls("x", R"([{"name": "a", "parameters": 5}])"));
  EXPECT_FALSE(parse_tool_calls("x", std::string(10000, '[')));
  EXPECT_TRUE(parse_tool_calls("x", "[]"));
}

// Ten thousand mutated outputs: whole and in pieces they give the same, and no byte is lost.

std::string mutated(std::string text, SplitMix64& random) {
  const auto below = [&](size_t n) { return n == 0 ? size_t{0} : static_cast<size_t>(random.next() % n); };
  static const std::string_view kPieces[] = {
      "<tool_call>", "</tool_call>", "{",    "}",       "\"",       "[",   "]",    "<",  ">", "\\", ",",   ":",
      "\n",          "get_weather",  "add(", "<think>", "</think>", "```", "null", "1e", "'", "é",  "\xF0"};
  for (size_t n = 1 + below(4); n > 0; --n) {
    const size_t at = below(text.size() + 1), length = below(12);
    switch (below(6)) {
      case 0:
        text.erase(std::min(at, text.size()), length);
        break;
      case 1:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 2:
        text.insert(at, text.substr(below(text.size() + 1), length));
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        text += kCases[below(std::size(kCases))].text;
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(random.next() & 0xFF);
    }
  }
  return text;
}

std::string ink(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (!is_space(c)) out.push_back(c);
  }
  std::ranges::sort(out);
  return out;
}

TEST(ReplyParser, MutatedOutputsLoseNothing) {
  SplitMix64 random(2024);
  const auto set = tool_set();
  std::vector<ToolFormat> formats;
  for (const Case& c : kCases) formats.push_back(format_of(c.source));
  size_t with_calls = 0, with_problems = 0;
  for (size_t i = 0; i < 10000; ++i) {
    const size_t n = i % std::size(kCases);
    const ToolFormat& format = formats[n];
    const std::string text = mutated(kCases[n].text, random);
    ReplyParser whole(format, set), pieces(format, set);
    whole.feed(text);
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + static_cast<size_t>(random.next() % 7);
      pieces.feed(std::string_view(text).substr(at, length));
      at += length;
    }
    const ParsedReply a = whole.finish(), b = pieces.finish();
    ASSERT_EQ(a.content, b.content) << text;
    ASSERT_EQ(a.reasoning, b.reasoning) << text;
    ASSERT_EQ(a.problems, b.problems) << text;
    ASSERT_EQ(show(a), show(b)) << text;
    with_calls += a.calls.empty() ? 0 : 1;
    with_problems += a.problems.empty() ? 0 : 1;
    if (!a.reasoning.empty() || has(text, format.reasoning().open) || !format.family().dropped.empty()) continue;
    std::string all = a.content;
    for (const ToolCall& call : a.calls) {
      all += call.raw;
      ASSERT_NE(set->find(call.name), nullptr);
      ASSERT_TRUE(is_json(call.arguments)) << call.arguments;
    }
    ASSERT_EQ(ink(all), ink(text)) << text;
    if (a.calls.empty()) {
      ASSERT_EQ(a.content, text);
    }
  }
  EXPECT_GT(with_calls, 2000u);
  EXPECT_GT(with_problems, 1000u);
}

TEST(ReplyParser, LongHostileTextsTakeLinearTime) {
  const ToolFormat formats[] = {format_of("<tool_call>"), format_of("<tool_call>call:"), ToolFormat::any()};
  for (const char* piece :
       {"<tool_call>", "{", "{\"name\":", "[", "```", "add(", "<tool_call>\n", " ", "\n", "<function=add>", "<",
        "{\"tool_calls\":[", "<tool_call>add<arg_key>a</arg_key>", "add(a=\"", "(", "'", "\\", "<think>"}) {
    std::string text;
    while (text.size() < 20000) text += piece;
    for (const ToolFormat& format : formats) {
      const auto set = tool_set();
      ReplyParser parser(format, set);
      parser.feed(text);
      const ParsedReply reply = parser.finish();
      if (reply.calls.empty() && reply.reasoning.empty() && !has(text, "<think>")) {
        EXPECT_EQ(reply.content, text) << piece;
      }
    }
  }
}

}  // namespace
}  // namespace quern::tools
