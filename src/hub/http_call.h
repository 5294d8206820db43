// One HTTP request of any method with a small answer, for the tools that a model may call. Over libcurl, as http.h.
//
// http and https only. Redirects of GET and HEAD are followed, at most 5, never from https to http; to another server
// the headers of the call do not go along. What another method is answered with a redirect is the answer. TLS
// certificates are checked. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quern::hub {

struct HttpCall {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;  // without line ends
  std::string body;                                          // sent when not empty, or when the method has one
  size_t limit = 16384;                                      // bytes of the answer that are kept
  double timeout_s = 10;                                     // for all of it, redirects included
  std::function<bool()> cancelled;                           // polled about once a second and with every piece of data
};

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;  // its first `limit` bytes
  bool cut = false;  // there was more; the rest was not fetched
};

// Every status is an answer. kTimeout, kCancelled; kUnsupported: not an address of these schemes; else kIo.
Result<HttpReply> http_call(const HttpCall& call);

}  // namespace quern::hub
