// ToolRegistry; see include/quern/tool_registry.h.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/nearest.h"
#include "config/text_file.h"
#include "config/yaml_tree.h"
#include "quern/tool_registry.h"
#include "tools/execute.h"
#include "tools/schema.h"
#include "tools/tools_file.h"

namespace quern {

namespace {

using toolbox::Json;
using toolbox::Tool;

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ToolInfo info_of(const Tool& tool) {
  constexpr const char* kKinds[] = {"command", "http", "builtin", "function"};
  return {.name = tool.name,
          .description = tool.description,
          .parameters = json_text(tool.parameters),
          .kind = kKinds[tool.what.index()],
          .confirm = tool.confirm,
          .takes_no_arguments = !tool.parameters.contains("required") || tool.parameters["required"].empty()};
}

}  // namespace

Result<ToolRegistry> ToolRegistry::parse(std::string_view name, std::string_view text) {
  toolbox::ToolsReading reading = toolbox::read_tools(name, text);
  if (!reading.problems.empty()) {
    return fail_f(ErrorCode::kInvalidArgument, "{}", fmt::join(reading.problems, "\n"));
  }
  ToolRegistry registry;
  for (Tool& tool : reading.tools) registry.tools_.push_back(std::make_shared<const Tool>(std::move(tool)));
  return registry;
}

Result<ToolRegistry> ToolRegistry::load(const std::string& path) {
  QUERN_TRY(const std::string text, read_text_file(path, kMaxYamlBytes));
  return parse(path, text);
}

Status ToolRegistry::add(Function function) {
  if (!toolbox::is_tool_name(function.name)) {
    return fail_f(ErrorCode::kInvalidArgument, "'{}': the name of a tool has letters, digits, _ and -, at most 64",
                  function.name);
  }
  if (find(function.name)) return fail_f(ErrorCode::kInvalidArgument, "there is a tool {} already", function.name);
  if (!function.call) return fail_f(ErrorCode::kInvalidArgument, "{}: there is nothing to call", function.name);
  Tool tool{.name = std::move(function.name), .description = std::move(function.description), .parameters = {}};
  tool.parameters = Json::parse(function.parameters, nullptr, /*allow_exceptions=*/false);
  if (!tool.parameters.is_object()) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: the parameters are not a JSON object", tool.name);
  }
  if (auto status = toolbox::check_schema(tool.parameters); !status) {
    return fail_f(status.error().code, "{}: {}", tool.name, status.error().message);
  }
  if (!tool.parameters.contains("type")) tool.parameters["type"] = "object";
  if (!tool.parameters.contains("properties")) tool.parameters["properties"] = Json::object();
  tool.confirm = function.confirm;
  tool.what = toolbox::FunctionTool{std::move(function.call)};
  tools_.push_back(std::make_shared<const Tool>(std::move(tool)));
  return {};
}

std::vector<ToolInfo> ToolRegistry::list() const {
  std::vector<ToolInfo> infos;
  for (const auto& tool : tools_) infos.push_back(info_of(*tool));
  return infos;
}

std::optional<ToolInfo> ToolRegistry::find(std::string_view name) const {
  for (const auto& tool : tools_) {
    if (tool->name == name) return info_of(*tool);
  }
  return std::nullopt;
}

std::string ToolRegistry::definitions() const {
  Json array = Json::array();
  for (const auto& tool : tools_) {
    Json function = {{"name", tool->name}, {"description", tool->description}, {"parameters", tool->parameters}};
    array.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return json_text(array);
}

Result<ToolCallPlan> ToolRegistry::prepare(std::string_view name, std::string_view arguments_json) const {
  const auto at = std::find_if(tools_.begin(), tools_.end(), [&](const auto& tool) { return tool->name == name; });
  if (at == tools_.end()) {
    std::vector<std::string_view> names;
    for (const auto& tool : tools_) names.push_back(tool->name);
    const auto nearest = nearest_name(name, names);
    return fail_f(
        ErrorCode::kNotFound, "there is no tool {}{}", name.substr(0, 64),
        nearest ? fmt::format(": did you mean {}?", *nearest) : fmt::format("; there are {}", fmt::join(names, ", ")));
  }
  const auto named = [&](Error error) { return fail_f(error.code, "{}: {}", (*at)->name, error.message); };
  const auto arguments = toolbox::read_arguments((*at)->parameters, arguments_json);
  if (!arguments) return named(arguments.error());
  auto action = toolbox::make_action(*at, *arguments);
  if (!action) return named(action.error());
  ToolCallPlan plan;
  plan.info_ = info_of(**at);
  plan.arguments_ = json_text(*arguments);
  plan.shown_ = std::move(action->shown);
  plan.run_ = std::move(action->run);
  return plan;
}

}  // namespace quern
