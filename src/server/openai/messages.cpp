#include "server/openai/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace quern::server {

namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};
constexpr std::array<std::string_view, 3> kTextParts = {"text", "input_text", "output_text"};
// Members that ask for what is not done here.
constexpr std::array<std::string_view, 2> kRefused = {"audio", "function_call"};

std::string text_of(const Json& value, const char* member) {
  const auto at = value.find(member);
  return at != value.end() && at->is_string() ? at->get<std::string>() : "";
}

bool has(const Json& value, std::string_view member) {
  const auto at = value.find(member);
  return at != value.end() && !at->is_null();
}

// Parts of a text as one.
std::optional<BodyError> join_parts(const Json& parts, const std::string& where, std::string& text) {
  if (parts.empty()) return BodyError{where, fmt::format("'{}' has no parts", where)};
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", where, i);
    const Json& part = parts[i];
    const std::string type = part.is_object() ? text_of(part, "type") : "";
    if (type.empty()) return BodyError{place, fmt::format("'{}' must be an object with a type", place)};
    if (std::find(kTextParts.begin(), kTextParts.end(), type) == kTextParts.end()) {
      return BodyError{place, fmt::format("'{}' is of type '{}': only text is supported", place, type)};
    }
    if (!part.contains("text") || !part["text"].is_string()) {
      return BodyError{place + ".text", fmt::format("'{}.text' must be a string", place)};
    }
    if (i > 0) text += '\n';
    text += part["text"].get<std::string>();
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::optional<BodyError> plain_content(Json& content, const std::string& where) {
  if (content.is_string()) return std::nullopt;
  if (!content.is_array()) return BodyError{where, fmt::format("'{}' must be a string or an array of parts", where)};
  std::string text;
  if (auto problem = join_parts(content, where, text)) return problem;
  content = std::move(text);
  return std::nullopt;
}

std::optional<BodyError> plain_message(Json& message, const std::string& where) {
  if (!message.is_object()) return BodyError{where, fmt::format("'{}' must be an object", where)};
  const std::string role = text_of(message, "role");
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    return BodyError{where + ".role", fmt::format("'{}.role' must be one of {}", where, fmt::join(kRoles, ", "))};
  }
  if (role == "developer") message["role"] = "system";
  for (const std::string_view name : kRefused) {
    if (has(message, name)) {
      return BodyError{fmt::format("{}.{}", where, name), fmt::format("'{}.{}' is not supported", where, name)};
    }
  }
  const std::string place = where + ".content";
  if (!has(message, "content")) {
    const bool calls = role == "assistant" && has(message, "tool_calls");
    if (!calls) return BodyError{place, fmt::format("'{}' is missing", place)};
    message["content"] = "";
    return std::nullopt;
  }
  return plain_content(message["content"], place);
}

std::optional<BodyError> plain_messages(Json& messages) {
  if (messages.empty()) return BodyError{"messages", "'messages' is empty"};
  for (size_t i = 0; i < messages.size(); ++i) {
    if (auto problem = plain_message(messages[i], fmt::format("messages[{}]", i))) return problem;
  }
  return std::nullopt;
}

std::optional<std::string> continued(const std::string& text, const Json& messages) {
  const std::string last = messages.back()["content"].get<std::string>();
  const std::string_view core = trimmed(last);
  const size_t at = text.rfind(core);
  if (at == std::string::npos || core.empty()) return std::nullopt;
  // Space at the message's end stays where the template has left it.
  const std::string_view with_end = std::string_view(last).substr(last.find(core));
  const bool kept = std::string_view(text).substr(at).starts_with(with_end);
  return text.substr(0, at + (kept ? with_end : core).size());
}

}  // namespace quern::server
