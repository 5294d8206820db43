// tools.yaml and the calls of its tools: any bytes give tools within bounds or problems with their places, and what a
// call would run keeps to the pattern. Runs nothing. A NUL divides the file from the arguments that every tool is
// called with.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "tools/execute.h"
#include "tools/schema.h"
#include "tools/tools_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quern::toolbox;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');
  const std::string_view arguments = end == std::string_view::npos ? "{}" : text.substr(end + 1);
  const ToolsReading reading = read_tools("f", text.substr(0, end));
  for (const std::string& problem : reading.problems) {
    if (!problem.starts_with("f:")) std::abort();
  }
  for (const Tool& tool : reading.tools) {
    // What the file's reader makes is a schema that calls are checked by.
    if (!is_tool_name(tool.name) || !check_schema(tool.parameters)) std::abort();
    if (!(tool.timeout_s > 0) || tool.output_limit == 0) std::abort();
    const auto read = read_arguments(tool.parameters, arguments);
    if (!read) continue;
    const auto action = make_action(std::make_shared<const Tool>(tool), *read);
    if (!action) continue;
    for (const char c : action->shown) {
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
  }
  return 0;
}
