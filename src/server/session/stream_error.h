// StreamError: what a streaming session answers when something cannot be done, over either transport. A value.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "server/call.h"

namespace quern::server {

struct StreamError {
  int status = 400;  // over HTTP
  std::string code;
  std::string message;
  std::string param = {};
  uint64_t first = 0;  // of replay_lost: the oldest event that can still be had
};

template <class T>
using StreamResult = tl::expected<T, StreamError>;

inline StreamError stream_error(const Error& error) {
  const HttpError e = http_error(error.code);
  return {.status = e.status, .code = std::string(e.code), .message = error.message};
}

inline StreamError stream_error(const BodyError& problem) {
  return {.status = 400, .code = "invalid_value", .message = problem.message, .param = problem.param};
}

// The same for an id that never was and for one of another key.
inline StreamError session_not_found() {
  return {.status = 404,
          .code = "session_not_found",
          .message = "there is no such session: it was closed, has expired, or belongs to another key"};
}

}  // namespace quern::server
