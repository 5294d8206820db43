#include "chat/tools/call_writer.h"

#include "chat/tools/json_scanner.h"
#include "chat/tools/literal.h"
#include "chat/tools/tool_set.h"

namespace quern::tools {
namespace {

// As Python's json.dumps does, which is what templates write and models have seen.
std::string spaced_json(const Json& value) {
  if (!value.is_structured()) return json_text(value);
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ", ") + spaced_json(item);
    return "[" + out + "]";
  }
  for (const auto& [key, item] : value.items()) {
    out += (out.empty() ? "" : ", ") + json_text(Json(key)) + ": " + spaced_json(item);
  }
  return "{" + out + "}";
}

Json arguments_of(const ToolCall& call) {
  if (!is_json(call.arguments)) return Json::object();
  Json value = Json::parse(call.arguments, nullptr, false);
  return value.is_object() ? value : Json::object();
}

std::string object_of(const JsonKeys& keys, const ToolCall& call, size_t number) {
  const std::string arguments = spaced_json(arguments_of(call));
  if (keys.name_is_key) return "{" + json_text(Json(call.name)) + ": " + arguments + "}";
  const auto key = [](std::string_view name) { return json_text(Json(name)) + ": "; };
  std::string out = "{";
  if (!keys.id.empty()) out += key(keys.id) + "\"" + std::to_string(number) + "\", ";
  return out + key(keys.name) + json_text(Json(call.name)) + ", " + key(keys.arguments) + arguments + "}";
}

std::string parameters_of(const ParameterSyntax& syntax, const ToolCall& call) {
  std::string out;
  const Json arguments = arguments_of(call);
  for (const auto& [key, value] : arguments.items()) {
    out += std::string(syntax.between) + std::string(syntax.before_key) + key + std::string(syntax.after_key);
    if (syntax.typed) out += value.is_string() ? "true" : "false";
    out += syntax.before_value;
    out += syntax.lead;
    out += value.is_string() ? value.get<std::string>() : spaced_json(value);
    out += syntax.tail;
    out += syntax.after_value;
  }
  return out;
}

std::string python_of(const ToolCall& call) {
  std::string out;
  const Json arguments = arguments_of(call);
  for (const auto& [key, value] : arguments.items()) {
    out += (out.empty() ? "" : ", ") + key + "=" + python_literal(value);
  }
  return call.name + "(" + out + ")";
}

std::string list_of(const Family& family, Part part, std::span<const ToolCall> calls) {
  const ArraySyntax syntax = part == Part::kPython ? ArraySyntax{} : family.array;
  std::string out(syntax.begin);
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += syntax.between;
    out += part == Part::kPython ? python_of(calls[i]) : object_of(family.keys, calls[i], i);
  }
  return out + std::string(syntax.end);
}

std::string part_of(const Family& family, const Step& step, std::span<const ToolCall> calls, size_t number) {
  const ToolCall& call = calls[number];
  switch (step.part) {
    case Part::kText:
      return std::string(step.text);
    case Part::kName:
      return call.name;
    case Part::kNumberedName:
      return "functions." + call.name + ":" + std::to_string(number);
    case Part::kId:
      return call.id;
    case Part::kObject:
      return object_of(family.keys, call, number);
    case Part::kArray:
    case Part::kPython:
      return list_of(family, step.part, calls);
    case Part::kJson:
      return spaced_json(arguments_of(call));
    case Part::kParameters:
      return parameters_of(*family.parameters, call);
    case Part::kBareLiteral:
      return bare_literal(arguments_of(call));
    case Part::kSecondName:
    case Part::kSkip:
      break;
  }
  return {};
}

}  // namespace

bool writes_all_at_once(const Family& family) {
  for (const Step& step : family.call) {
    if (step.part == Part::kArray || step.part == Part::kPython) return true;
  }
  return false;
}

std::string write_calls(const Family& family, std::span<const ToolCall> calls) {
  if (calls.empty()) return {};
  const size_t rounds = writes_all_at_once(family) ? 1 : calls.size();
  std::string out;
  for (const Step& step : family.begin) out += step.text;
  for (size_t i = 0; i < rounds; ++i) {
    if (i > 0) out += family.between;
    for (const Step& step : family.call) {
      if (step.written) out += part_of(family, step, calls, i);
    }
  }
  for (const Step& step : family.end) out += step.text;
  return out;
}

}  // namespace quern::tools
