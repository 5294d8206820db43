// One HTTP GET at a time over libcurl; only http.cpp knows the library.
//
// Redirects are followed (at most 10, never from https to http). The token is sent to the first host only. TLS
// certificates are checked. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern::hub {

// The head of the final response, with what redirects on the way said about the file behind them.
struct HttpResponse {
  int status = 0;
  std::string etag;           // as sent, quotes included
  std::string linked_sha256;  // X-Linked-Etag where it is a SHA-256, lower case; else empty
  bool redirected = false;    // the head is not the first server's
  std::string next_page;      // Link: <...>; rel="next"
  std::string error_message;  // X-Error-Message
  std::optional<uint64_t> content_length;
  std::optional<uint64_t> range_begin;  // Content-Range of a 206
  std::optional<uint64_t> range_total;
  std::optional<uint64_t> retry_after_s;
};

struct HttpRequest {
  std::string url;
  std::string token;         // bearer token; empty for none
  uint64_t range_begin = 0;  // over 0: asks for the bytes from there on ...
  std::string if_range;      // ... provided the file still has this strong ETag
  // Called once, before the body, when the final head is there; an error ends the transfer and is returned.
  std::function<Status(const HttpResponse&)> on_head;
  std::function<Status(std::span<const std::byte>)> on_body;
  std::function<bool()> cancelled;  // polled about once a second and with every piece of data
};

// kIo: the transfer broke and may be tried again; kUnsupported: the address is wrong for good (scheme, certificate,
// unknown host); kCancelled. A status of 400 and above is a response, not an error; its body is not handed on.
Result<HttpResponse> http_get(const HttpRequest& request);

// A small body, at most `limit` bytes (kCorrupt beyond).
struct HttpText {
  HttpResponse head;
  std::string body;
};
Result<HttpText> http_get_text(HttpRequest request, size_t limit);

// Bytes outside A-Z a-z 0-9 - . _ ~ and / become %XX.
std::string url_escape_path(std::string_view path);
// The reverse; a % without two digits stands for itself.
std::string url_unescape(std::string_view text);

// One header line into the response; the parser that a hostile server reaches first.
void read_header_line(std::string_view line, HttpResponse& response);

}  // namespace quern::hub
