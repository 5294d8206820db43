#include "tools/builtins.h"

#include <ctime>

#include "base/clock.h"
#include "tools/calculator.h"
#include "tools/text.h"

namespace quern::toolbox {

namespace {

constexpr std::string_view kNames[] = {"clock", "calculator"};

// "2026-11-21T21:45:58+0100, Saturday"
std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::localtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z, %A", &parts)};
}

ToolOutput timed(const std::function<Result<std::string>()>& work) {
  ToolOutput output;
  const double start = now_s();
  const auto text = work();
  output.seconds = now_s() - start;
  output.ok = text.has_value();
  output.text = text ? *text : text.error().message;
  return output;
}

Result<std::string> calculated(const std::string& expression) {
  QUERN_TRY(const double value, calculate(expression));
  return number_text(value);
}

}  // namespace

std::span<const std::string_view> builtin_names() {
  return kNames;
}

std::optional<Builtin> find_builtin(std::string_view name) {
  if (name == kNames[0]) return Builtin::kClock;
  if (name == kNames[1]) return Builtin::kCalculator;
  return std::nullopt;
}

std::string_view builtin_description(Builtin which) {
  return which == Builtin::kClock
             ? "The local date, time and day of the week."
             : "The value of an arithmetic expression: + - * / % ^, parentheses, pi, e, sqrt, abs, "
               "min, max, floor, ceil, round, sin, cos, ln, exp.";
}

Json builtin_parameters(Builtin which) {
  Json properties = Json::object(), required = Json::array();
  if (which == Builtin::kCalculator) {
    properties["expression"] = {{"type", "string"}, {"description", "For example (2 + 3) * sqrt(16)"}};
    required.push_back("expression");
  }
  return {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}};
}

Result<Action> builtin_action(std::shared_ptr<const Tool> tool, const Json& arguments) {
  if (std::get<Builtin>(tool->what) == Builtin::kClock) {
    return Action{"clock", [](const ToolCallPlan::Cancelled&) { return timed(local_time); }};
  }
  const auto expression = arguments.at("expression").get<std::string>();  // checked
  return Action{"calculator " + shell_quoted(expression),
                [expression](const ToolCallPlan::Cancelled&) { return timed([&] { return calculated(expression); }); }};
}

}  // namespace quern::toolbox
