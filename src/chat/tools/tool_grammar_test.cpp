#include "chat/tools/tool_grammar.h"

#include <gtest/gtest.h>

#include "chat/tools/argument_grammar.h"
#include "chat/tools/call_writer.h"
#include "chat/tools/reply_parser.h"
#include "grammar/internals.h"
#include "tests/support/ir_match.h"

namespace quern::tools {
namespace {

using grammar::IrMatcher;

ToolSet tools_of(const char* json) {
  auto set = ToolSet::read(Json::parse(json));
  EXPECT_TRUE(set) << set.error().message;
  return *set;
}

const ToolSet& weather() {
  static const ToolSet set = tools_of(R"([
    {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"},
      "days": {"type": "integer", "minimum": 1, "maximum": 9}, "unit": {"type": "string", "enum": ["C", "F"]}},
      "required": ["city"], "additionalProperties": false}},
    {"name": "clock"}])");
  return set;
}

ToolFormat format_of(std::string_view source) {
  const auto chat_template = ChatTemplate::parse("x");
  return ToolFormat::of(source, *chat_template);
}

bool matches(const ToolGrammar& made, std::string_view text) {
  IrMatcher matcher(*GrammarInternals::ir(made.grammar));
  for (const char c : text) {
    if (!matcher.read(static_cast<uint8_t>(c))) return false;
  }
  return matcher.accepts();
}

// Of a random text the bytes that mark special tokens are not part of what is printed.
std::string printed(std::string text) {
  std::erase(text, static_cast<char>(grammar::kSpecialByte));
  return text;
}

constexpr const char* kSources[] = {"<tool_call>",
                                    "<tool_call><function=",
                                    "<seed:tool_call>",
                                    "ipython \"parameters\": ",
                                    "[TOOL_CALLS]",
                                    "[TOOL_CALLS][ARGS]",
                                    "[TOOL_CALLS][CALL_ID]",
                                    "<｜tool▁call",
                                    "｜DSML｜function_calls",
                                    "｜DSML｜",
                                    "<function=</function>",
                                    "<arg_key></arg_key>\n",
                                    "<arg_key>",
                                    "<|channel|> to=functions.",
                                    "<|tool_calls_section_begin|>",
                                    "<|START_ACTION|>",
                                    "Action: tool_name",
                                    "<|tool_call|>",
                                    "List of tools: ",
                                    "functools[",
                                    "<|tool_call>call:",
                                    "minimax:tool_call",
                                    "<tool_calls>[",
                                    "<|tools_prefix|>",
                                    "function call <|role_sep|>",
                                    "<|function_call|>",
                                    "generic"};

TEST(ToolGrammar, TextsOfTheGrammarAreCalls) {
  const auto set = std::make_shared<const ToolSet>(weather());
  SplitMix64 random(11);
  for (const char* source : kSources) {
    const ToolFormat format = format_of(source);
    SCOPED_TRACE(format.name());
    const auto made = tool_grammar(format, *set, {.required = true, .parallel = true});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(made->triggers.empty());
    EXPECT_TRUE(made->warnings.empty()) << made->warnings.front();
    size_t calls = 0;
    for (int i = 0; i < 40; ++i) {
      const std::string text = printed(grammar::ir_sample(*GrammarInternals::ir(made->grammar), random));
      ReplyParser parser(format, set);
      parser.feed(text);
      const ParsedReply reply = parser.finish();
      ASSERT_FALSE(reply.calls.empty()) << text;
      EXPECT_TRUE(reply.problems.empty()) << text;
      EXPECT_TRUE(reply.content.empty()) << text << "\ncontent: " << reply.content;
      calls += reply.calls.size();
      for (const ToolCall& call : reply.calls) {
        const Json arguments = Json::parse(call.arguments, nullptr, false);
        ASSERT_TRUE(arguments.is_object()) << text;
        if (call.name == "clock") {
          EXPECT_EQ(arguments.size(), 0u);
          continue;
        }
        EXPECT_TRUE(arguments.contains("city") && arguments["city"].is_string()) << text;
        if (arguments.contains("days")) {
          EXPECT_TRUE(arguments["days"].is_number_integer() && arguments["days"] >= 1 && arguments["days"] <= 9)
              << text;
        }
        if (arguments.contains("unit")) {
          EXPECT_TRUE(arguments["unit"] == "C" || arguments["unit"] == "F") << text;
        }
      }
    }
    EXPECT_TRUE(format.family().single ? calls == 40 : calls > 40) << calls;
  }
}

TEST(ToolGrammar, HoldsWhatTheWriterWrites) {
  const ToolCall calls[] = {{"abcdef123", "get_weather", R"({"city": "Ulm", "days": 2})", {}},
                            {"abcdef124", "clock", "{}", {}}};
  for (const char* source : kSources) {
    const ToolFormat format = format_of(source);
    SCOPED_TRACE(format.name());
    for (const size_t n : {size_t{1}, size_t{2}}) {
      if (n == 2 && format.family().single) continue;
      const std::string text = write_calls(format.family(), {calls, n});
      const auto one = tool_grammar(format, weather(), {.parallel = false}), more = tool_grammar(format, weather(), {});
      ASSERT_TRUE(one && more);
      EXPECT_TRUE(matches(*more, text)) << text;
      EXPECT_EQ(matches(*one, text), n == 1) << text;
      ASSERT_EQ(more->triggers.size(), 1u);
      if (format.name() != "generic") {
        EXPECT_TRUE(text.starts_with(more->triggers[0])) << more->triggers[0] << "\n" << text;
      }
    }
  }
}

TEST(ToolGrammar, HoldsANamedTool) {
  const ToolFormat format = format_of("<tool_call>");
  const auto made = tool_grammar(format, weather(), {.required = true, .name = "clock"});
  ASSERT_TRUE(made);
  EXPECT_TRUE(matches(*made, "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_TRUE(matches(*made, "\xFF<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n\xFF</tool_call>"));
  EXPECT_FALSE(
      matches(*made, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"x\"}}\n</tool_call>"));
  const auto unknown = tool_grammar(format, weather(), {.name = "nobody"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(tool_grammar(format, ToolSet(), {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(ToolGrammar, LetsReasoningEndFirst) {
  const auto made =
      tool_grammar(format_of("<tool_call><think>"), weather(), {.required = true, .reasoning_open = true});
  ASSERT_TRUE(made);
  const std::string call = "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(matches(*made, "Well </thin < then.\n</think>\n\n" + call));
  EXPECT_TRUE(matches(*made, "</think>" + call));
  EXPECT_FALSE(matches(*made, call));
}

TEST(ToolGrammar, FallsBackUnlessStrict) {
  constexpr const char* kHard = R"([{"name": "f", "strict": %, "parameters": {"type": "object", "properties": {
    "x": {"type": "string", "not": {"const": "y"}}}}}])";
  for (const bool strict : {false, true}) {
    for (const char* source : kSources) {
      std::string json = kHard;
      json.replace(json.find('%'), 1, strict ? "true" : "false");
      const ToolFormat format = format_of(source);
      SCOPED_TRACE(format.name());
      const auto made = tool_grammar(format, tools_of(json.c_str()), {});
      EXPECT_EQ(made.has_value(), !strict);
      if (strict) {
        EXPECT_NE(made.error().message.find("'f'"), std::string::npos) << made.error().message;
      } else {
        ASSERT_EQ(made->warnings.size(), 1u);
        const ToolCall call{"abcdef123", "f", R"({"x": "y"})", {}};
        EXPECT_TRUE(matches(*made, write_calls(format.family(), {&call, 1})));
      }
    }
  }
}

TEST(TextWithout, IsAnyTextThatDoesNotHoldTheEnd) {
  for (const std::string_view end : {"</p>", "aab", "<｜x", "\n</parameter>"}) {
    grammar::IrBuilder builder;
    const auto ir = builder.finish(text_without(end, builder));
    ASSERT_TRUE(ir);
    const auto accepted = [&](std::string_view text) {
      IrMatcher matcher(*ir);
      for (const char c : text) {
        if (!matcher.read(static_cast<uint8_t>(c))) return false;
      }
      return matcher.accepts();
    };
    for (const std::string_view text : {"", "a", "aa", "aaab", "aaaba", "<", "<<//p>>", "</p", "</p>", "x</p>y", "<｜",
                                        "<｜x", "<<｜｜x", "日本 </ｐ>", "\n</parameter", "\n\n</parameter>"}) {
      EXPECT_EQ(accepted(text), text.find(end) == std::string_view::npos) << text << " without " << end;
    }
  }
}

}  // namespace
}  // namespace quern::tools
