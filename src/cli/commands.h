// The table of commands: main, help and tests iterate it. To add one, write commands/<name>.cpp and add a row in
// commands.cpp.
#pragma once

#include <span>
#include <string_view>

#include "cli/context.h"

namespace quern::cli {

struct Command {
  std::string_view name;
  std::string_view summary;      // one line, no full stop
  int (*run)(Context& context);  // returns the exit code
};

std::span<const Command> commands();

}  // namespace quern::cli
