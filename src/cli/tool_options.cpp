#include "cli/tool_options.h"

#include <algorithm>

#include "base/nearest.h"
#include "tools/text.h"

namespace quern::cli {

namespace {

Status check_name(std::string_view option, const std::string& name, const ToolRegistry& tools,
                  std::vector<std::string> known) {
  for (const ToolInfo& tool : tools.list()) known.push_back(tool.name);
  if (std::find(known.begin(), known.end(), name) != known.end()) return {};
  const auto nearest = nearest_name(name, known);
  return fail_f(ErrorCode::kInvalidArgument, "{}: there is no tool {}{}", option, name,
                nearest ? fmt::format("; did you mean {}?", *nearest) : "");
}

}  // namespace

void ToolOptions::add(std::vector<Field>& to) {
  to.push_back({"--tools", &file, "File of the tools that the model may call (docs/agent.md, examples/tools.yaml)"});
  to.push_back({"--yes-tool", &yes, "Name of a tool that runs without a question; may be given several times"});
  to.push_back({"--max-rounds", &max_rounds, "Most replies with calls before an answer", {.min = 1, .max = 100}});
  to.push_back(
      {"--tool-choice", &choice,
       "auto: the model decides; required: its first reply is a call; the name of a tool: a call of that one"});
}

Result<ToolRegistry> load_tools(const ToolOptions& options) {
  QUERN_TRY(ToolRegistry tools, ToolRegistry::load(options.file));
  for (const std::string& name : options.yes) QUERN_CHECK_OK(check_name("--yes-tool", name, tools, {}));
  QUERN_CHECK_OK(check_name("--tool-choice", options.choice, tools, {"auto", "required"}));
  return tools;
}

std::string tools_text(const ToolRegistry& tools) {
  std::string text;
  for (const ToolInfo& tool : tools.list()) {
    const std::string_view first_line = std::string_view(tool.description).substr(0, tool.description.find('\n'));
    text += fmt::format("  {:<16} {:<8} {}{}\n", tool.name, tool.kind, toolbox::printable_lines(first_line),
                        tool.confirm ? "" : " (runs without a question)");
  }
  return text;
}

}  // namespace quern::cli
