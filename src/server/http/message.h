// The heads of answers as bytes. Values; any thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/http.h"

namespace quern::http {

// Every status line begins so, whatever the status: see the probe in outbox.h.
inline constexpr std::string_view kStatusLineStart = "HTTP/1.1 ";

enum class Framing : uint8_t { kLength, kChunked, kUntilClose, kNone };

struct AnswerHead {
  int status = 200;
  std::string_view content_type;  // empty: none
  const Headers* headers = nullptr;
  Framing framing = Framing::kLength;
  uint64_t length = 0;     // with kLength
  bool close = false;      // the connection ends after this answer
  bool say_alive = false;  // a 1.0 client must be told that it does not
};

// Status line to empty line. Headers that the server makes itself, and names that are no tokens, are left out; line
// breaks and NULs in values become spaces. A status outside 200 to 599 becomes 500.
std::string format_head(const AnswerHead& head);

// A 204 and a 304 have none.
bool has_body(int status);
std::string_view reason_phrase(int status);
std::string format_date(std::time_t time);  // "Sun, 06 Nov 1994 08:49:37 GMT"
// `bytes` as one chunk, appended; nothing for no bytes, which would end the answer.
void append_chunk(std::string& out, std::string_view bytes);

}  // namespace quern::http
