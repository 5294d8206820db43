#include "tools/execute.h"

#include "base/clock.h"
#include "tools/builtins.h"
#include "tools/command.h"
#include "tools/http.h"
#include "tools/text.h"

namespace quern::toolbox {

namespace {

ToolOutput run_function(const Tool& tool, const std::string& arguments) {
  ToolOutput output;
  const double start = now_s();
  const auto text = std::get<FunctionTool>(tool.what).call(arguments);
  output.seconds = now_s() - start;
  output.ok = text.has_value();
  output.cut = text && text->size() > tool.output_limit;
  output.text = text ? model_text(*text, tool.output_limit, 0) : text.error().message;
  return output;
}

}  // namespace

Result<Action> make_action(std::shared_ptr<const Tool> tool, const Json& arguments) {
  if (std::holds_alternative<CommandTool>(tool->what)) return command_action(std::move(tool), arguments);
  if (std::holds_alternative<HttpTool>(tool->what)) return http_action(std::move(tool), arguments);
  if (std::holds_alternative<Builtin>(tool->what)) return builtin_action(std::move(tool), arguments);
  const std::string text = arguments.dump();
  return Action{tool->name + " " + shell_quoted(text),
                [tool, text](const ToolCallPlan::Cancelled&) { return run_function(*tool, text); }};
}

}  // namespace quern::toolbox
