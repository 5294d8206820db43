// The chat of quern run: reads a line, answers, and so on until the user leaves.
#pragma once

#include <string>

#include "cli/context.h"
#include "cli/tool_options.h"
#include "quern/quern.h"

namespace quern::cli {

struct ChatSettings {
  bool raw = false;  // no template
  std::string system;
  GenerateOptions generate;
  const ToolRegistry* tools = nullptr;  // null: none
  ToolOptions tool_options = {};
};

// Returns the exit code. Ctrl-C ends an answer; at the prompt it clears the line, and a second one in a row leaves, as
// do Ctrl-D and /exit. What was said stays in the engine's KV store, so that a turn reads only what is new.
Result<int> chat_loop(Engine& engine, const Context& context, const ChatSettings& settings);

}  // namespace quern::cli
