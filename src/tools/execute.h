// From a tool and checked arguments to what exactly would run, and running it. Pure up to run(); any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "quern/tool_registry.h"
#include "tools/tool.h"

namespace quern::toolbox {

struct Action {
  std::string shown;  // see ToolCallPlan::shown()
  std::function<ToolOutput(const ToolCallPlan::Cancelled&)> run;
};

// The arguments are those that read_arguments() gave for this tool. kInvalidArgument: a value that a command line or an
// address cannot take, or that the program would read as an option; the message is for the model.
Result<Action> make_action(std::shared_ptr<const Tool> tool, const Json& arguments);

// What a command's environment has of this process's, where the tool does not say otherwise.
inline constexpr const char* kPassedOn[] = {"PATH",   "HOME",     "USER", "LOGNAME", "LANG",
                                            "LC_ALL", "LC_CTYPE", "TZ",   "TMPDIR"};

}  // namespace quern::toolbox
