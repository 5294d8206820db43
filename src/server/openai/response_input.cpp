#include "server/openai/response_input.h"

#include <fmt/format.h>

#include <set>

#include "server/openai/messages.h"

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

// Puts items behind each other, and what one turn of the assistant gave into one message.
class ItemReader {
 public:
  explicit ItemReader(Json& messages) : messages_(messages) {}

  std::optional<BodyError> read(const Json& item, const std::string& where) {
    if (!item.is_object()) return wrong(where, "must be an object");
    const Json& type = member(item, "type");
    if (type.is_null() || type == "message") return message(item, where);
    if (type == "function_call") return call(item, where);
    if (type == "function_call_output") return output(item, where);
    if (type == "reasoning") return reasoning(item, where);
    return BodyError{where + ".type",
                     fmt::format("'{}' is of type {}: only messages, reasoning, function calls and their outputs are "
                                 "supported",
                                 where, type.dump(-1, ' ', false, Json::error_handler_t::replace))};
  }

 private:
  std::optional<BodyError> message(Json item, const std::string& where) {
    if (member(item, "role") == "tool" || !member(item, "tool_calls").is_null()) {
      return wrong(where, "is of the chats' API: here calls and results are items, function_call and its output");
    }
    if (auto problem = plain_message(item, where)) return problem;
    if (item["role"] != "assistant") {
      part_ = Part::kNone;
      messages_.push_back({{"role", item["role"]}, {"content", item["content"]}});
      return std::nullopt;
    }
    turn(Part::kText)["content"] = item["content"];
    return std::nullopt;
  }

  std::optional<BodyError> call(const Json& item, const std::string& where) {
    for (const char* name : {"call_id", "name", "arguments"}) {
      if (!member(item, name).is_string()) return wrong(fmt::format("{}.{}", where, name), "must be a string");
    }
    Json& calls = turn(Part::kCalls)["tool_calls"];
    if (calls.is_null()) calls = Json::array();
    calls.push_back({{"id", item["call_id"]},
                     {"type", "function"},
                     {"function", {{"name", item["name"]}, {"arguments", item["arguments"]}}}});
    calls_.insert(item["call_id"].get<std::string>());
    return std::nullopt;
  }

  std::optional<BodyError> output(const Json& item, const std::string& where) {
    const Json& id = member(item, "call_id");
    if (!id.is_string()) return wrong(where + ".call_id", "must be a string");
    if (!calls_.contains(id.get<std::string>())) {
      return wrong(where + ".call_id",
                   "is of no function_call before it: nothing is stored here, send the items of the answers back");
    }
    Json content = member(item, "output");
    if (auto problem = plain_content(content, where + ".output")) return problem;
    part_ = Part::kNone;
    messages_.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(content)}});
    return std::nullopt;
  }

  // The text, or where there is none the summary. What only another server can read says nothing here.
  std::optional<BodyError> reasoning(const Json& item, const std::string& where) {
    std::string text;
    for (const char* name : {"content", "summary"}) {
      const Json& parts = member(item, name);
      if (!parts.is_null() && !parts.is_array()) return wrong(fmt::format("{}.{}", where, name), "must be an array");
      if (!text.empty()) break;
      for (size_t i = 0; i < parts.size(); ++i) {
        const Json& part = member(parts[i], "text");
        if (!part.is_string()) return wrong(fmt::format("{}.{}[{}].text", where, name, i), "must be a string");
        text += part.get_ref<const std::string&>();
      }
    }
    Json& message = turn(Part::kReasoning);
    if (!text.empty()) message["reasoning_content"] = std::move(text);
    return std::nullopt;
  }

  // In the order in which a turn has them; the last but for calls once.
  enum class Part : uint8_t { kNone, kReasoning, kText, kCalls };

  // The message that `next` belongs to: the last one, or a new one.
  Json& turn(Part next) {
    const bool goes_on = part_ != Part::kNone && (next > part_ || (next == part_ && next == Part::kCalls));
    if (!goes_on) messages_.push_back({{"role", "assistant"}, {"content", ""}});
    part_ = next;
    return messages_.back();
  }

  Json& messages_;
  Part part_ = Part::kNone;  // the last of the assistant's turn that is being read
  std::set<std::string> calls_;
};

}  // namespace

std::optional<BodyError> input_messages(const Json& input, const std::string& instructions, Json& messages) {
  messages = Json::array();
  if (!instructions.empty()) messages.push_back({{"role", "system"}, {"content", instructions}});
  if (input.is_string()) {
    messages.push_back({{"role", "user"}, {"content", input}});
    return std::nullopt;
  }
  if (!input.is_array() || input.empty()) {
    return BodyError{"input", "'input' must be a text or an array of items"};
  }
  ItemReader reader(messages);
  for (size_t i = 0; i < input.size(); ++i) {
    if (auto problem = reader.read(input[i], fmt::format("input[{}]", i))) return problem;
  }
  return std::nullopt;
}

}  // namespace quern::server
