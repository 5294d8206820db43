#include "server/session/message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/openai/messages.h"

namespace quern::server {

namespace {

constexpr double kMaxSeq = 9007199254740991;  // what JavaScript's numbers count to

constexpr std::array<std::pair<std::string_view, MessageType>, 7> kTypes = {{
    {"start", MessageType::kStart},
    {"append", MessageType::kAppend},
    {"resume", MessageType::kResume},
    {"cancel", MessageType::kCancel},
    {"ack", MessageType::kAck},
    {"close", MessageType::kClose},
    {"ping", MessageType::kPing},
}};

struct StartMessage {
  std::string type;
  StartBody body;
  void fields(FieldVisitor& v) {
    v.member({"type", "start"}, type);
    body.fields(v);
  }
};

struct AppendMessage {
  std::string type, session, ref;
  Json message, messages;
  std::optional<std::string> prompt;
  void fields(FieldVisitor& v) {
    v.member({"type", "append"}, type);
    v.member({"session", "", {.required = true}}, session);
    v.member({"ref", ""}, ref);
    v.member({"message", ""}, message, R"({"type": "object"})");
    v.member({"messages", ""}, messages, kMessagesSchema);
    v.member({"prompt", ""}, prompt);
  }
};

// The messages without content.
struct PlainMessage {
  MessageType kind;
  std::string type, session, ref;
  int64_t number = 0;
  void fields(FieldVisitor& v) {
    v.member({"type", ""}, type);
    v.member({"ref", ""}, ref);
    if (kind == MessageType::kPing) return;
    v.member({"session", "", {.required = true}}, session);
    if (kind == MessageType::kResume) v.member({"after", "", {.min = 0, .max = kMaxSeq}}, number);
    if (kind == MessageType::kAck) v.member({"seq", "", {.required = true, .min = 0, .max = kMaxSeq}}, number);
  }
};

std::string text_member(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

template <class Body>
std::optional<StreamError> read_strictly(const Json& object, Body& body) {
  std::vector<std::string> ignored;
  if (const auto problem = read_body(object, body, Unknown::kRefuse, ignored)) return stream_error(*problem);
  return std::nullopt;
}

}  // namespace

std::optional<StreamError> read_message(std::string_view text, ClientMessage& message) {
  Result<Json> json = parse_json(text, "the message");
  if (!json) return StreamError{.code = "invalid_json", .message = json.error().message};
  if (!json->is_object()) return StreamError{.code = "invalid_json", .message = "the message must be a JSON object"};
  message.raw = std::move(*json);
  message.ref = text_member(message.raw, "ref");
  message.session = text_member(message.raw, "session");
  const std::string type = text_member(message.raw, "type");
  const auto* const known = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.first == type; });
  if (known == kTypes.end()) {
    return StreamError{.code = "unknown_type",
                       .message = "'type' is one of start, append, resume, cancel, ack, close, ping",
                       .param = "type"};
  }
  message.type = known->second;
  if (message.type == MessageType::kStart || message.type == MessageType::kAppend) return std::nullopt;
  PlainMessage plain{.kind = message.type, .type = {}, .session = {}, .ref = {}};
  if (auto wrong = read_strictly(message.raw, plain)) return wrong;
  message.after = static_cast<uint64_t>(plain.number);
  return std::nullopt;
}

StreamResult<StartBody> read_start(const ClientMessage& message, StreamOptions options) {
  if (message.type == MessageType::kStart) {
    StartMessage start{.type = {}, .body = {.session = {}, .ref = {}, .options = std::move(options)}};
    if (auto wrong = read_strictly(message.raw, start)) return tl::unexpected(std::move(*wrong));
    return check_start(std::move(start.body));
  }
  AppendMessage append;
  if (auto wrong = read_strictly(message.raw, append)) return tl::unexpected(std::move(*wrong));
  StartBody body{.session = append.session, .ref = append.ref, .options = std::move(options)};
  if (!append.message.is_null() && !append.messages.is_null()) {
    return tl::unexpected(StreamError{
        .code = "invalid_value", .message = "'message' and 'messages' exclude each other", .param = "messages"});
  }
  body.messages = append.message.is_null() ? std::move(append.messages) : Json::array({append.message});
  body.prompt = append.prompt;
  return check_start(std::move(body));
}

StreamResult<StartBody> check_start(StartBody body) {
  if (const auto problem = body.check()) return tl::unexpected(stream_error(*problem));
  return body;
}

}  // namespace quern::server
