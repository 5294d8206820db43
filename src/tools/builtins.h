// The builtin tools: clock, the local date and time; calculator (calculator.h). They touch nothing. Any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "tools/execute.h"

namespace quern::toolbox {

std::span<const std::string_view> builtin_names();
std::optional<Builtin> find_builtin(std::string_view name);
std::string_view builtin_description(Builtin which);  // where the file gives none
Json builtin_parameters(Builtin which);

Result<Action> builtin_action(std::shared_ptr<const Tool> tool, const Json& arguments);

}  // namespace quern::toolbox
