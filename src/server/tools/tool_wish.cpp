#include "server/tools/tool_wish.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace quern::server {

namespace {

const Json& member(const Json& object, const char* name) {
  static const Json kNone = nullptr;
  const auto at = object.find(name);
  return object.is_object() && at != object.end() ? *at : kNone;
}

BodyError wrong(const std::string& place, std::string_view what) {
  return {place, fmt::format("'{}' {}", place, what)};
}

std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Flat, a tool has members that ask for what is not done here: deferred or asynchronous calls.
std::optional<BodyError> check_members(const Json& tool, const std::string& place) {
  constexpr std::array<std::string_view, 5> kKnown = {"type", "name", "description", "parameters", "strict"};
  for (const auto& [name, value] : tool.items()) {
    if (std::ranges::find(kKnown, name) != kKnown.end() || value.is_null() || value == false) continue;
    if (name == "allowed_callers" && value == Json::array({"direct"})) continue;
    return wrong(fmt::format("{}.{}", place, name), "is not supported");
  }
  return std::nullopt;
}

std::optional<BodyError> check_tool(const Json& tool, const std::string& place, ToolShape shape) {
  if (!tool.is_object()) return wrong(place, "must be an object with a type and a function");
  const Json& type = member(tool, "type");
  if (type.is_string() && type != "function") {
    return wrong(place + ".type", fmt::format("is {}: only tools of type \"function\" are supported", shown(type)));
  }
  if (type != "function") return wrong(place + ".type", "must be \"function\"");
  const bool flat = shape == ToolShape::kFlat;
  if (flat) {
    if (auto problem = check_members(tool, place)) return problem;
  }
  const Json& function = flat ? tool : member(tool, "function");
  const std::string inner = flat ? place : place + ".function";
  if (!function.is_object()) return wrong(inner, "must be an object with a name");
  if (!member(function, "name").is_string()) return wrong(inner + ".name", "must be a string");
  const auto is = [&](const char* name, auto fits) {
    const Json& value = member(function, name);
    return value.is_null() || fits(value);
  };
  if (!is("description", [](const Json& v) { return v.is_string(); })) {
    return wrong(inner + ".description", "must be a string");
  }
  if (!is("parameters", [](const Json& v) { return v.is_object(); })) {
    return wrong(inner + ".parameters", "must be a JSON schema, an object");
  }
  if (!is("strict", [](const Json& v) { return v.is_boolean(); })) {
    return wrong(inner + ".strict", "must be true or false");
  }
  return std::nullopt;
}

// As chats and the templates have it.
Json nested(const Json& tool) {
  Json function = Json::object();
  for (const char* name : {"name", "description", "parameters", "strict"}) {
    if (const Json& value = member(tool, name); !value.is_null()) function[name] = value;
  }
  return {{"type", "function"}, {"function", std::move(function)}};
}

std::optional<BodyError> read_choice(const Json& choice, ToolShape shape, ToolWish& to) {
  const std::string place = "tool_choice";
  if (choice.is_null() || choice == "auto") return std::nullopt;
  if (choice == "none") {
    to.none = true;
    return std::nullopt;
  }
  if (choice == "required") {
    if (!to.tools) return wrong(place, "is \"required\", and 'tools' has none");
    to.choice.required = true;
    return std::nullopt;
  }
  const Json& type = member(choice, "type");
  if (type == "allowed_tools") {
    return wrong(place, "of type \"allowed_tools\" is not supported: send the allowed ones in 'tools'");
  }
  const bool flat = shape == ToolShape::kFlat;
  const Json& name = member(flat ? choice : member(choice, "function"), "name");
  if (type != "function" || !name.is_string()) {
    return wrong(place, flat ? R"(must be none, auto, required or {"type": "function", "name": ...})"
                             : R"(must be none, auto, required or {"type": "function", "function": {"name": ...}})");
  }
  to.choice.required = true;
  to.choice.name = name.get<std::string>();
  if (!to.tools || to.tools->set()->find(to.choice.name) == nullptr) {
    return wrong(place, fmt::format("names '{}', which is not in 'tools'", to.choice.name));
  }
  return std::nullopt;
}

std::optional<BodyError> check_calls(const Json& calls, const std::string& place) {
  if (!calls.is_array()) return wrong(place, "must be an array");
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string each = fmt::format("{}[{}]", place, i);
    const Json& function = member(calls[i], "function");
    const Json& arguments = member(function, "arguments");
    if (!member(function, "name").is_string()) return wrong(each, "must be an object with a function's name");
    if (!arguments.is_null() && !arguments.is_string() && !arguments.is_object()) {
      return wrong(each + ".function.arguments", "must be JSON as a string");
    }
    const Json& id = member(calls[i], "id");
    if (!id.is_null() && !id.is_string()) return wrong(each + ".id", "must be a string");
  }
  return std::nullopt;
}

}  // namespace

std::optional<BodyError> read_tools(const Json& tools, const Json& choice, bool parallel, ToolStore& store,
                                    ToolWish& to, ToolShape shape) {
  for (size_t i = 0; i < tools.size(); ++i) {
    if (auto problem = check_tool(tools[i], fmt::format("tools[{}]", i), shape)) return problem;
  }
  to.choice.parallel = parallel;
  if (!tools.empty()) {
    to.definitions = tools;
    if (shape == ToolShape::kFlat) std::ranges::transform(tools, to.definitions.begin(), nested);
    auto offered = store.get(to.definitions);
    if (!offered) return BodyError{"tools", fmt::format("'tools': {}", offered.error().message)};
    to.tools = std::move(*offered);
  }
  return read_choice(choice, shape, to);
}

std::optional<BodyError> check_tool_messages(const Json& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string place = fmt::format("messages[{}]", i);
    const Json& calls = member(messages[i], "tool_calls");
    if (!calls.is_null()) {
      if (auto problem = check_calls(calls, place + ".tool_calls")) return problem;
    }
    for (const char* name : {"tool_call_id", "reasoning_content", "thinking", "name", "tool_name"}) {
      const Json& value = member(messages[i], name);
      if (!value.is_null() && !value.is_string()) return wrong(fmt::format("{}.{}", place, name), "must be a string");
    }
  }
  return std::nullopt;
}

void number_calls(Json& messages) {
  struct Open {
    std::string id, name;
  };
  std::vector<Open> open;  // calls without their result
  size_t number = 0;
  for (Json& message : messages) {
    const Json& thinking = member(message, "thinking");
    if (thinking.is_string() && !message.contains("reasoning_content")) message["reasoning_content"] = Json(thinking);
    if (member(message, "tool_calls").is_array()) {
      open.clear();
      for (Json& call : message["tool_calls"]) {
        if (!member(call, "id").is_string()) call["id"] = fmt::format("call{:05}", number++ % 100000);
        if (!call.contains("type")) call["type"] = "function";
        open.push_back({call["id"].get<std::string>(), member(member(call, "function"), "name").get<std::string>()});
      }
    }
    if (member(message, "role") != "tool") continue;
    const Json& tool_name = member(message, "tool_name");
    if (tool_name.is_string() && !message.contains("name")) message["name"] = Json(tool_name);
    if (member(message, "tool_call_id").is_string() || open.empty()) continue;
    const Json& name = member(message, "name");
    auto of = std::ranges::find_if(open, [&](const Open& o) { return name.is_string() && name == o.name; });
    if (of == open.end()) of = open.begin();
    message["tool_call_id"] = of->id;
    open.erase(of);
  }
}

}  // namespace quern::server
