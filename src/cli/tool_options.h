// The options of quern run --tools, and the registry that they name.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "quern/tool_registry.h"

namespace quern::cli {

struct ToolOptions {
  std::string file;
  std::vector<std::string> yes;
  uint32_t max_rounds = 8;
  std::string choice = "auto";

  void add(std::vector<Field>& to);
  [[nodiscard]] bool given() const { return !file.empty(); }
};

// kInvalidArgument: what is wrong in the file, or a name in --yes-tool or --tool-choice that no tool has.
Result<ToolRegistry> load_tools(const ToolOptions& options);

// A line for each tool, for /tools.
std::string tools_text(const ToolRegistry& tools);

}  // namespace quern::cli
