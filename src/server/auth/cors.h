// CORS: which response headers let a web page of another origin read the answer (WHATWG Fetch, "HTTP CORS protocol").
// Keys travel in headers, not cookies, so credentials are never allowed. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quern::server {

struct CorsRequest {
  std::string_view method;
  std::string_view origin;             // the header Origin; empty: not from a web page
  std::string_view requested_method;   // Access-Control-Request-Method
  std::string_view requested_headers;  // Access-Control-Request-Headers
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A browser asks before it sends: to be answered 204 with cors_headers() and nothing else, without a key.
[[nodiscard]] bool is_preflight(const CorsRequest& request);

// Headers to add; no Access-Control-Allow-Origin where the origin is not one of `allowed` (exact, or "*").
HeaderList cors_headers(std::span<const std::string> allowed, const CorsRequest& request);

}  // namespace quern::server
