#include "chat/tools/tool_prompt.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <optional>

#include "chat/tools/call_writer.h"
#include "chat/tools/json_scanner.h"
#include "chat/tools/reply_parser.h"

namespace quern::tools {
namespace {

constexpr int kMaxDepth = 64;  // of schemas that are changed
constexpr std::string_view kToolsText =
    "You can call functions. These are all of them, each with the JSON schema of its arguments:\n";
constexpr std::string_view kCallText =
    "\nTo call functions, answer with nothing but\n"
    "{\"tool_calls\": [{\"name\": \"the function's name\", \"arguments\": {\"argument\": \"value\"}}]}\n"
    "The results come in the next message. Where no function is needed, answer in plain text.";
constexpr std::string_view kOwnCallText = "\nTo call functions, answer with nothing but the call, written as in\n";

// How much white space a text begins with.
size_t blank(std::string_view text) {
  return std::min(text.find_first_not_of(" \t\r\n"), text.size());
}

bool is_role(const Json& message, std::string_view role) {
  return message.contains("role") && message["role"].is_string() &&
         message["role"].get_ref<const std::string&>() == role;
}

bool has_calls(const Json& message) {
  return message.contains("tool_calls") && message["tool_calls"].is_array() && !message["tool_calls"].empty();
}

// The text of a content that may be null or an array of parts.
std::string text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string out;
  if (content.is_array()) {
    for (const Json& part : content) {
      const bool text = part.is_object() && part.contains("text") && part["text"].is_string();
      if (text) out += part["text"].get_ref<const std::string&>();
    }
  }
  return content.is_object() ? json_text(content) : out;
}

Json content_of(const Json& message) {
  return message.contains("content") ? message["content"] : Json(nullptr);
}

Result<std::vector<ToolCall>> read_calls(const Json& message) {
  std::vector<ToolCall> calls;
  for (const Json& entry : message["tool_calls"]) {
    const bool wrapped = entry.is_object() && entry.contains("function");
    const Json& function = wrapped ? entry["function"] : entry;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      return fail(ErrorCode::kInvalidArgument, "each of tool_calls must be an object with a function's name");
    }
    ToolCall call;
    call.name = function["name"].get<std::string>();
    if (entry.contains("id") && entry["id"].is_string()) call.id = entry["id"].get<std::string>();
    const Json arguments = function.contains("arguments") ? function["arguments"] : Json::object();
    call.arguments = arguments.is_string() ? arguments.get<std::string>() : json_text(arguments);
    calls.push_back(std::move(call));
  }
  return calls;
}

// The same id always becomes the same nine letters and digits (FNV-1a, base 36).
std::string nine_id(const std::string& id) {
  const bool fits =
      id.size() == 9 &&
      id.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == std::string::npos;
  if (fits) return id;
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  std::string out;
  for (int i = 0; i < 9; ++i, hash /= 36) out.push_back("0123456789abcdefghijklmnopqrstuvwxyz"[hash % 36]);
  return out;
}

void shorten_ids(Json& messages) {
  for (Json& message : messages) {
    if (message.contains("tool_call_id") && message["tool_call_id"].is_string()) {
      message["tool_call_id"] = nine_id(message["tool_call_id"].get<std::string>());
    }
    if (!has_calls(message)) continue;
    for (Json& call : message["tool_calls"]) {
      if (call.is_object()) {
        call["id"] = nine_id(call.contains("id") && call["id"].is_string() ? call["id"].get<std::string>() : "");
      }
    }
  }
}

std::string tools_text(const ToolFormat& format, const Json& tools) {
  std::string out(kToolsText);
  for (const Json& tool : tools) {
    const bool wrapped = tool.is_object() && tool.contains("function");
    out += json_text(wrapped ? tool["function"] : tool) + "\n";
  }
  if (&format.family() == &generic_family()) return out + std::string(kCallText);
  const ToolCall example{"abcdef123", "example_function", R"({"argument": "value"})", {}};
  return out + std::string(kOwnCallText) + write_calls(format.family(), {&example, 1});
}

// In front of the first message of the system, else of the user where the template has no system messages.
void add_system_text(const ToolFormat& format, const std::string& text, Json& messages) {
  const char* role = format.renders().system ? "system" : "user";
  if (!messages.empty() && is_role(messages[0], role)) {
    messages[0]["content"] = text + "\n\n" + text_of(content_of(messages[0]));
  } else {
    messages.insert(messages.begin(), Json{{"role", role}, {"content", text}});
  }
}

class Rewriter {
 public:
  explicit Rewriter(const ToolFormat& format) : format_(format) {}

  Result<Json> rewrite(const Json& messages) {
    for (const Json& message : messages) {
      if (is_role(message, "tool") && !format_.renders().results) {
        add_result(message);
      } else if (!is_role(message, "assistant") || !has_calls(message)) {
        out_.push_back(message);
        if (content_of(message).is_null() && message.is_object()) out_.back()["content"] = "";
      } else {
        QUERN_CHECK_OK(add_calls(message));
      }
    }
    return std::move(out_);
  }

 private:
  Status add_calls(const Json& message) {
    QUERN_TRY(const auto calls, read_calls(message));
    for (const ToolCall& call : calls) names_[call.id] = call.name;
    const ToolFormat::Renders& renders = format_.renders();
    const std::string text = text_of(content_of(message));
    Json changed = message;
    if (!renders.calls) {
      changed.erase("tool_calls");
      changed["content"] = text + (text.empty() ? "" : "\n") + write_calls(format_.family(), calls);
      out_.push_back(std::move(changed));
      return {};
    }
    const Json no_content = renders.null_content ? Json(nullptr) : Json("");
    // A template that writes either content or calls gets a message for each.
    if (!text.empty() && !renders.calls_with_content) {
      Json first = message;
      first.erase("tool_calls");
      out_.push_back(std::move(first));
    }
    changed["content"] = renders.calls_with_content && !text.empty() ? message["content"] : no_content;
    if (!format_.family().single) {
      out_.push_back(std::move(changed));
      return {};
    }
    const Json all = changed["tool_calls"];
    for (const Json& call : all) {
      changed["tool_calls"] = Json::array({call});
      out_.push_back(changed);
      changed["content"] = no_content;
    }
    return {};
  }

  // Results that follow each other become one message: many templates want the roles to take turns.
  void add_result(const Json& message) {
    std::string name =
        message.contains("name") && message["name"].is_string() ? message["name"].get<std::string>() : "";
    if (name.empty() && message.contains("tool_call_id") && message["tool_call_id"].is_string()) {
      name = names_[message["tool_call_id"].get<std::string>()];
    }
    const std::string text = "Result of " + (name.empty() ? "the call" : name) + ":\n" + text_of(content_of(message));
    if (after_result_ == out_.size() && !out_.empty()) {
      Json& last = out_.back();
      last["content"] = last["content"].get<std::string>() + "\n\n" + text;
    } else {
      out_.push_back(Json{{"role", "user"}, {"content", text}});
    }
    after_result_ = out_.size();
  }

  const ToolFormat& format_;
  Json out_ = Json::array();
  std::map<std::string, std::string> names_;  // of calls, by their ids
  size_t after_result_ = 0;
};

// A union of types is written in Python by some of these templates, and they go into null for ever.
void drop_null(Json& schema) {
  Json& type = schema["type"];
  if (type.is_array()) {
    type.erase(std::remove(type.begin(), type.end(), Json("null")), type.end());
    if (type.size() == 1) type = Json(type[0]);
  }
  if (type == "null" || type.empty()) schema.erase("type");
}

// What templates that write Python's types go into unasked: an object says of what it is, an array too.
void add_python_types(Json& schema) {
  if (!schema.contains("description") || !schema["description"].is_string()) schema["description"] = "";
  if (!schema.contains("type")) return;
  const Json& type = schema["type"];
  const bool of_values = schema.contains("additionalProperties") && schema["additionalProperties"].is_object();
  if (type == "object" && !of_values) {
    schema["additionalProperties"] = {{"type", "string"}};
  } else if (type == "array" && !schema.contains("items")) {
    schema["items"] = Json::object();
  }
}

// The schema of an argument as an object that says what such templates want to be told.
void complete_schema(Json& schema, bool python_types, int depth) {
  if (depth > kMaxDepth) return;
  if (!schema.is_object()) schema = schema == false ? Json{{"not", Json::object()}} : Json::object();
  drop_null(schema);
  if (python_types) add_python_types(schema);
  for (const char* inner : {"items", "additionalProperties"}) {
    if (schema.contains(inner) && schema[inner].is_object()) complete_schema(schema[inner], python_types, depth + 1);
  }
  if (!schema.contains("properties") || !schema["properties"].is_object()) return;
  for (auto& [name, property] : schema["properties"].items()) complete_schema(property, python_types, depth + 1);
}

// For templates that take for granted what a tool may leave out.
void complete_tools(Json& tools, bool python_types) {
  for (Json& tool : tools) {
    Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object()) continue;
    if (!function.contains("description") || !function["description"].is_string()) function["description"] = "";
    Json& parameters = function["parameters"];
    if (!parameters.is_object()) parameters = Json::object();
    if (!parameters.contains("type")) parameters["type"] = "object";
    Json& properties = parameters["properties"];
    if (!properties.is_object()) properties = Json::object();
    for (auto& [name, property] : properties.items()) complete_schema(property, python_types, 0);
  }
}

std::string time_text(const std::optional<std::tm>& given) {
  std::tm now{};
  if (given) {
    now = *given;
  } else {
    const std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &now);
  }
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &now)};
}

}  // namespace

void fit_tools(const Family& family, ChatRequest& request) {
  if (family.variables && request.extra.is_object()) {
    const Json tools = request.tools.is_array() ? request.tools : Json::array();
    if (!request.extra.contains("functions")) request.extra["functions"] = json_text(tools);
    if (!request.extra.contains("datetime")) request.extra["datetime"] = time_text(request.now);
  }
  if (family.python_types && request.tools.is_array()) complete_tools(request.tools, /*python_types=*/true);
}

Status prepare_tools(const ToolFormat& format, bool offered, ChatRequest& request) {
  if (!request.messages.is_array()) return fail(ErrorCode::kInvalidArgument, "messages must be an array");
  Rewriter rewriter(format);
  QUERN_TRY(request.messages, rewriter.rewrite(request.messages));
  if (format.family().nine_ids) shorten_ids(request.messages);
  if (!offered) request.tools = nullptr;
  fit_tools(format.family(), request);
  if (!request.tools.is_array() || request.tools.empty()) return {};
  if (!format.renders().bare_tools) complete_tools(request.tools, /*python_types=*/false);
  if (format.renders().tools) return {};
  add_system_text(format, tools_text(format, request.tools), request.messages);
  request.tools = nullptr;
  return {};
}

std::string restore_calls(const ToolFormat& format, const ToolSet& tools, std::string_view prompt,
                          std::span<const ToolCall> calls) {
  ReplyParser parser(format, std::make_shared<const ToolSet>(tools), {.only_calls = true});
  parser.feed(prompt);
  const ParsedReply found = parser.finish();
  std::string out;
  size_t at = 0, next = 0;
  for (const ToolCall& rendered : found.calls) {
    if (next == calls.size()) break;
    const ToolCall& sampled = calls[next];
    const auto same_json = [](const std::string& a, const std::string& b) {
      const auto x = nlohmann::json::parse(a, nullptr, false), y = nlohmann::json::parse(b, nullptr, false);
      return !x.is_discarded() && x == y;
    };
    if (rendered.name != sampled.name || !same_json(rendered.arguments, sampled.arguments)) continue;
    const size_t place = prompt.find(rendered.raw, at);
    if (place == std::string_view::npos) continue;
    // White space is a call's own behind the call before it, and the template's at the beginning of a message.
    const bool in_a_row = next > 0 && place == at;
    const size_t begin = place + (in_a_row || blank(sampled.raw) > 0 ? 0 : blank(rendered.raw));
    out.append(prompt, at, begin - at);
    out += sampled.raw;
    at = place + rendered.raw.size();
    ++next;
  }
  return out.append(prompt, at, std::string_view::npos);
}

}  // namespace quern::tools
