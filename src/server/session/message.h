// Client messages of the streaming protocol (docs/server.md, "Streaming sessions"): one JSON object each, named by its
// member "type". Unknown members are refused. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/session/conversation.h"
#include "server/session/stream_error.h"

namespace quern::server {

enum class MessageType : uint8_t { kStart, kAppend, kResume, kCancel, kAck, kClose, kPing };

struct ClientMessage {
  MessageType type = MessageType::kPing;
  std::string session, ref;
  uint64_t after = 0;  // of resume; of ack, the `seq`
  Json raw;            // for read_start()
};

// All but the members of start and append, which read_start() reads once the session is known. Where it fails, `ref`
// and `session` are set as far as the message has them.
std::optional<StreamError> read_message(std::string_view text, ClientMessage& message);

// What a start or append asks for. `options`: what holds where it names none, the session's own.
StreamResult<StartBody> read_start(const ClientMessage& message, StreamOptions options);

// The body of POST /v1/stream, after the table's members were read.
StreamResult<StartBody> check_start(StartBody body);

}  // namespace quern::server
