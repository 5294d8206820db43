// Replies through the parser of tool calls: the first byte chooses the format, the second how the text is cut. Whole
// and in pieces it gives the same; without markers nothing is lost.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "chat/tools/reply_parser.h"

namespace {

using quern::tools::ReplyParser;
using quern::tools::ToolFormat;
using quern::tools::ToolSet;

const std::shared_ptr<const ToolSet>& tool_set() {
  static const auto* set = new std::shared_ptr<const ToolSet>(std::make_shared<const ToolSet>(*ToolSet::read(
      quern::tools::Json::parse(R"([{"name": "get_weather", "parameters": {"properties": {"city": {"type": "string"},
        "days": {"type": "integer"}, "opts": {"type": "object"}}}}, {"name": "add"}, {"name": "clock"}])"))));
  return *set;
}

const std::vector<ToolFormat>& formats() {
  static const auto* all = [] {
    auto* made = new std::vector<ToolFormat>{ToolFormat::any()};
    const auto chat_template = quern::ChatTemplate::parse("x");
    for (const char* source :
         {"<tool_call>", "<tool_call><function=", "ipython \"parameters\": ", "[TOOL_CALLS]", "<｜tool▁call",
          "｜DSML｜", "<function=</function>", "<arg_key>", "<|channel|> to=functions.", "<|tool_calls_section_begin|>",
          "<|START_ACTION|>", "List of tools: ", "<|tool_call>call:", "minimax:tool_call", "<|tools_prefix|>",
          "none"}) {
      made->push_back(ToolFormat::of(source, *chat_template));
    }
    return made;
  }();
  return *all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ToolFormat& format = formats()[data[0] % formats().size()];
  const size_t piece = 1 + data[1] % 32;
  const bool open = (data[1] & 32) != 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  ReplyParser whole(format, tool_set(), {.reasoning_open = open}), pieces(format, tool_set(), {.reasoning_open = open});
  whole.feed(text);
  for (size_t at = 0; at < text.size(); at += piece) pieces.feed(text.substr(at, piece));
  const quern::ParsedReply a = whole.finish(), b = pieces.finish();
  if (a.content != b.content || a.reasoning != b.reasoning || a.problems != b.problems) __builtin_trap();
  if (a.calls.size() != b.calls.size()) __builtin_trap();
  for (size_t i = 0; i < a.calls.size(); ++i) {
    if (a.calls[i].arguments != b.calls[i].arguments || a.calls[i].raw != b.calls[i].raw) __builtin_trap();
    if (!quern::tools::is_json(a.calls[i].arguments) || tool_set()->find(a.calls[i].name) == nullptr) __builtin_trap();
  }
  const bool plain = a.calls.empty() && a.reasoning.empty() && !open && format.family().dropped.empty() &&
                     !quern::tools::has(text, format.reasoning().open);
  if (plain && a.content != text) __builtin_trap();
  return 0;
}
