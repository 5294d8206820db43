#include "chat/tools/tool_set.h"

#include <algorithm>

#include "chat/tools/json_scanner.h"
#include "chat/tools/literal.h"

namespace quern::tools {
namespace {

constexpr size_t kMaxName = 128;

bool allows(const Json& schema, std::string_view type) {
  if (!schema.is_object() || !schema.contains("type")) return true;
  const Json& types = schema["type"];
  if (types.is_string()) return types.get_ref<const std::string&>() == type;
  if (!types.is_array()) return true;
  return std::any_of(types.begin(), types.end(), [&](const Json& t) { return t.is_string() && t == type; });
}

std::string_view type_of(std::string_view json) {
  switch (json.front()) {
    case '{':
      return "object";
    case '[':
      return "array";
    case '"':
      return "string";
    case 't':
    case 'f':
      return "boolean";
    case 'n':
      return "null";
    default:
      return "number";
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

Result<Tool> read_tool(const Json& entry, size_t index) {
  if (!entry.is_object()) return fail_f(ErrorCode::kInvalidArgument, "tools[{}] must be an object", index);
  const bool wrapped = entry.contains("function") && entry["function"].is_object();
  const Json& function = wrapped ? entry["function"] : entry;
  if (!function.contains("name") || !function["name"].is_string()) {
    return fail_f(ErrorCode::kInvalidArgument, "tools[{}] has no name", index);
  }
  Tool tool;
  tool.name = function["name"].get<std::string>();
  if (tool.name.empty() || tool.name.size() > kMaxName || !std::ranges::all_of(tool.name, is_name_byte)) {
    return fail_f(ErrorCode::kInvalidArgument, "tools[{}]: a name is 1 to {} letters, digits, _ - . : /", index,
                  kMaxName);
  }
  tool.parameters = function.contains("parameters") ? function["parameters"] : Json(nullptr);
  if (tool.parameters.is_null()) tool.parameters = Json{{"type", "object"}, {"properties", Json::object()}};
  if (!tool.parameters.is_object()) {
    return fail_f(ErrorCode::kInvalidArgument, "tool '{}': parameters must be a JSON schema, an object", tool.name);
  }
  tool.strict = function.contains("strict") && function["strict"] == true;
  return tool;
}

}  // namespace

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == ':' || c == '/';
}

Result<ToolSet> ToolSet::read(const Json& tools) {
  ToolSet set;
  if (tools.is_null()) return set;
  if (!tools.is_array()) return fail(ErrorCode::kInvalidArgument, "tools must be an array");
  if (tools.size() > kMaxTools) return fail_f(ErrorCode::kInvalidArgument, "more than {} tools", kMaxTools);
  for (const Json& entry : tools) {
    QUERN_TRY(Tool tool, read_tool(entry, set.tools_.size()));
    if (!set.by_name_.emplace(tool.name, set.tools_.size()).second) {
      return fail_f(ErrorCode::kInvalidArgument, "two tools are named '{}'", tool.name);
    }
    set.tools_.push_back(std::move(tool));
  }
  return set;
}

const Tool* ToolSet::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &tools_[at->second];
}

const Tool* ToolSet::find_meant(std::string_view name) const {
  if (const Tool* tool = find(name)) return tool;
  for (const std::string_view prefix : {"functions.", "function."}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  if (name.ends_with(".call")) name.remove_suffix(5);
  if (const Tool* tool = find(name)) return tool;
  const size_t colon = name.rfind(':');
  if (colon == std::string_view::npos || name.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
    return nullptr;
  }
  return find(name.substr(0, colon));
}

const Json* argument_schema(const Tool& tool, std::string_view name) {
  const auto properties = tool.parameters.find("properties");
  if (properties == tool.parameters.end() || !properties->is_object()) return nullptr;
  const auto at = properties->find(std::string(name));
  return at == properties->end() ? nullptr : &*at;
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string argument_json(const Json* schema, std::string_view text) {
  const bool string = schema == nullptr || allows(*schema, "string");
  const bool only_string =
      string && schema != nullptr && schema->is_object() && schema->contains("type") && (*schema)["type"].is_string();
  std::string json;
  if (only_string) return json_text(Json(text));
  if (is_json(text)) {
    json = trimmed(text);
  } else if (const auto value = read_literal(text)) {
    json = json_text(*value);
  } else {
    return json_text(Json(text));
  }
  const std::string_view type = type_of(json);
  const bool fits =
      !string || schema == nullptr || allows(*schema, type) || (type == "number" && allows(*schema, "integer"));
  return fits ? json : json_text(Json(text));
}

}  // namespace quern::tools
