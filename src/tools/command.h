// Tools that are commands: a program with arguments, in a session of its own, with a small environment, never through a
// shell. Any thread.
#pragma once

#include <string>
#include <vector>

#include "tools/execute.h"

namespace quern::toolbox {

// The argument list. An element whose placeholder names an absent argument is left out; one with a list is repeated for
// each of its items.
Result<std::vector<std::string>> command_line(const CommandTool& command, const Json& arguments);

Result<Action> command_action(std::shared_ptr<const Tool> tool, const Json& arguments);

}  // namespace quern::toolbox
