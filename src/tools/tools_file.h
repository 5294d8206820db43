// tools.yaml: the tools that a model may call. docs/agent.md describes the keys, examples/tools.yaml shows them.
//
//   tools:
//     list_files:
//       description: List the files of a folder.
//       arguments:
//         folder: {type: string, description: An absolute path.}
//       command: [ls, -l, --, "{folder}"]
//
// Reads the text alone, touches no other file. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/tool.h"

namespace quern::toolbox {

struct ToolsReading {
  std::vector<Tool> tools;            // those without a problem, in the order of the file
  std::vector<std::string> problems;  // all there are, each with its place: "tools.yaml:12:5: ..."
};

ToolsReading read_tools(std::string_view file, std::string_view text);

// [A-Za-z0-9_-], at most 64 characters: what every API and template takes.
bool is_tool_name(std::string_view name);

}  // namespace quern::toolbox
