// Tool calls: what a model writes when it wants a function run, and how its reply is taken apart.
//
//   auto reply = quern::parse_tool_calls(text, R"([{"type": "function", "function": {"name": "clock"}}])");
//   for (const auto& call : reply->calls) run(call.name, call.arguments);
//
// Values; any thread. Only strings are here: arguments and tools are JSON texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "quern/result.h"

namespace quern {

struct ToolCall {
  std::string id;         // what the model gave, or one of nine letters and digits
  std::string name;       // one of the tools
  std::string arguments;  // a JSON object, as the model wrote it where it wrote JSON
  std::string raw;        // the text that it was read from; the raws of a reply's calls in a row are what was sampled
};

struct ParsedReply {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> calls;
  std::vector<std::string> problems;  // of each call that is malformed, why; its text is in `content`
};

// Reads a whole reply in which calls may be written in any format that quern knows (docs/tools.md): the markers of all
// families, fenced or bare JSON, name(arg=1). Nothing is a call that does not name one of the tools. `tools` is a JSON
// array in OpenAI's shape; kInvalidArgument when it is not. A malformed call is no failure: see ParsedReply::problems.
Result<ParsedReply> parse_tool_calls(std::string_view text, std::string_view tools);

}  // namespace quern
