// Calls as text, as their family writes them: for templates that do not render an assistant's tool_calls. What is
// written ReplyParser reads back. Any thread.
#pragma once

#include <span>
#include <string>

#include "chat/tools/family.h"
#include "quern/tools.h"

namespace quern::tools {

// Whether one writing of Family::call holds all calls: an array or a list of them.
bool writes_all_at_once(const Family& family);

// Arguments that are not a JSON object are written as an empty one.
std::string write_calls(const Family& family, std::span<const ToolCall> calls);

}  // namespace quern::tools
