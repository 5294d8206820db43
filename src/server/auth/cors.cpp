#include "server/auth/cors.h"

#include <algorithm>

namespace quern::server {

namespace {

constexpr std::string_view kMethods = "GET, POST, PUT, DELETE, HEAD, OPTIONS";
constexpr std::string_view kUsualHeaders = "authorization, content-type, x-api-key, last-event-id";
constexpr std::string_view kReadable = "retry-after, x-request-id";
constexpr std::string_view kMaxAge = "600";  // browsers ask again after that many seconds
constexpr size_t kLongestList = 1024;

// Goes back into a header: names (RFC 9110, tokens) and commas alone.
bool is_name_list(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~, ";
  return !text.empty() && text.size() <= kLongestList && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

}  // namespace

bool is_preflight(const CorsRequest& request) {
  return request.method == "OPTIONS" && !request.origin.empty() && !request.requested_method.empty();
}

HeaderList cors_headers(std::span<const std::string> allowed, const CorsRequest& request) {
  HeaderList headers;
  if (allowed.empty()) return headers;
  const bool any = std::find(allowed.begin(), allowed.end(), "*") != allowed.end();
  // An answer that depends on the origin must not be kept for another.
  if (!any) headers.emplace_back("Vary", "Origin");
  const bool known = any || std::find(allowed.begin(), allowed.end(), request.origin) != allowed.end();
  if (request.origin.empty() || !known) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : std::string(request.origin));
  if (!is_preflight(request)) {
    headers.emplace_back("Access-Control-Expose-Headers", kReadable);
    return headers;
  }
  headers.emplace_back("Access-Control-Allow-Methods", kMethods);
  headers.emplace_back("Access-Control-Allow-Headers",
                       is_name_list(request.requested_headers) ? request.requested_headers : kUsualHeaders);
  headers.emplace_back("Access-Control-Max-Age", kMaxAge);
  return headers;
}

}  // namespace quern::server
