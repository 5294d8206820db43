// From a request on the network to a route's handler: path, method, key, rate, body.
#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "server/app.h"
#include "server/call.h"
#include "server/session/stream_socket.h"

namespace quern::server {

namespace {

struct Found {
  const Route* route = nullptr;
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string allowed;  // methods, where only the method does not fit
};

bool method_fits(std::string_view route, std::string_view asked) {
  return route == asked || (route == "GET" && asked == "HEAD");
}

bool switched_off(const ServerConfig& config, const Route& route) {
  return (route.path.starts_with("/v1/") && !config.openai_api) ||
         ((route.path.starts_with("/api/") || route.path == "/") && !config.ollama_api) ||
         (route.path == "/metrics" && !config.metrics);
}

Found find_route(const ServerConfig& config, const http::Request& request) {
  Found found;
  for (const Route& route : routes()) {
    std::vector<std::pair<std::string, std::string>> parameters;
    if (switched_off(config, route) || !match_path(route.path, request.path, parameters)) continue;
    if (method_fits(route.method, request.method)) return {&route, std::move(parameters), {}};
    if (!found.allowed.empty()) found.allowed += ", ";
    found.allowed += route.method;
  }
  return found;
}

http::Response error_response(std::string_view path, int status, std::string_view type, std::string_view message,
                              std::string_view code) {
  const ApiStyle style = path.starts_with("/api/") ? ApiStyle::kOllama : ApiStyle::kOpenAi;
  return {.status = status, .headers = {}, .body = dump(error_body(style, type, message, {}, code))};
}

bool same_host(std::string_view origin, std::string_view host) {
  const size_t at = origin.find("://");
  return at != std::string_view::npos && origin.substr(at + 3) == host;
}

// Browsers let any page open a WebSocket to here, without asking first: so the page's origin is checked.
std::optional<http::Response> check_upgrade(const ServerConfig& config, const http::Request& request) {
  if (request.path != "/v1/stream") {
    return error_response(request.path, 404, "invalid_request_error", "there is no WebSocket here; /v1/stream has one",
                          "not_found");
  }
  const std::string_view origin = request.header("origin");
  if (origin.empty() || same_host(origin, request.header("host"))) return std::nullopt;
  const auto& known = config.cors_origins;
  const bool allowed = std::find(known.begin(), known.end(), origin) != known.end() ||
                       std::find(known.begin(), known.end(), "*") != known.end();
  if (allowed) return std::nullopt;
  return error_response(request.path, 403, "permission_error",
                        fmt::format("pages of {} may not connect; cors_origins says who may", origin),
                        "origin_not_allowed");
}

}  // namespace

bool match_path(std::string_view pattern, std::string_view path,
                std::vector<std::pair<std::string, std::string>>& parameters) {
  while (!pattern.empty()) {
    if (pattern[0] != '{') {
      if (path.empty() || path[0] != pattern[0]) return false;
      pattern.remove_prefix(1);
      path.remove_prefix(1);
      continue;
    }
    const size_t close = pattern.find('}');
    std::string_view name = pattern.substr(1, close - 1);
    pattern.remove_prefix(close + 1);
    const bool rest = name.ends_with('*');
    if (rest) name.remove_suffix(1);
    const size_t end = rest ? path.size() : std::min(path.find('/'), path.size());
    if (end == 0) return false;
    parameters.emplace_back(name, path.substr(0, end));
    path.remove_prefix(end);
  }
  return path.empty();
}

std::optional<http::Response> App::check_head(const http::Request& request) {
  if (http::asks_for_websocket(request)) {
    if (auto refused = check_upgrade(config, request)) return refused;
  }
  const Found found = find_route(config, request);
  if (found.route == nullptr) {
    if (request.method == "OPTIONS" && !request.header("origin").empty()) return std::nullopt;  // preflight
    if (found.allowed.empty()) {
      return error_response(request.path, 404, "invalid_request_error",
                            fmt::format("there is no {} here; /openapi.json lists what is", request.path), "not_found");
    }
    http::Response r = error_response(request.path, 405, "invalid_request_error",
                                      fmt::format("{} wants {}", request.path, found.allowed), "method_not_allowed");
    r.headers.emplace_back("allow", found.allowed);
    return r;
  }
  if (draining_ && !found.route->open) {
    http::Response r = error_response(request.path, 503, "server_error", "the server is stopping", "draining");
    r.headers.emplace_back("connection", "close");
    return r;
  }
  const bool open = found.route->open && !(found.route->path == "/metrics" && config.metrics_key);
  if (open) return std::nullopt;
  const auto principal = keys->authenticate(request.header("authorization"), request.header("x-api-key"));
  if (!principal) {
    metrics.refused_key();
    http::Response r =
        error_response(request.path, 401, "authentication_error", principal.error().message, "invalid_api_key");
    r.headers.emplace_back("www-authenticate", "Bearer");
    return r;
  }
  const RateDecision rate = limits.admit(**principal, 0, now_s());
  if (rate.allowed) return std::nullopt;
  metrics.rate_limited(rate.limit);
  http::Response r =
      error_response(request.path, 429, "rate_limit_error",
                     fmt::format("the {} of this key are used up for {:.0f} s", rate.limit, rate.retry_after_s),
                     "rate_limit_exceeded");
  r.headers.emplace_back("retry-after", fmt::format("{:.0f}", rate.retry_after_s));
  return r;
}

void App::handle(std::shared_ptr<http::Exchange> exchange) {
  const http::Request& request = exchange->request();
  Found found = find_route(config, request);
  if (found.route == nullptr) {  // a preflight, all else was answered at its head
    http::Response r{.status = 204, .headers = {}, .body = {}, .content_type = {}};
    add_cors(request, r.headers);
    return exchange->respond(std::move(r));
  }
  std::shared_ptr<const Principal> who;
  if (const auto known = keys->authenticate(request.header("authorization"), request.header("x-api-key"))) {
    who = *known;
  } else if (found.route->open) {
    who = std::make_shared<const Principal>();
  } else {  // the keys changed since the head
    return exchange->respond(
        error_response(request.path, 401, "authentication_error", known.error().message, "invalid_api_key"));
  }
  auto call = std::make_shared<Call>(*this, *found.route, std::move(exchange), std::move(who));
  call->path = std::move(found.parameters);
  if (found.route->quick) return run(call);
  work.post([this, call] { run(call); });
}

void App::run(const std::shared_ptr<Call>& call) {
  try {
    if (call->route.body != nullptr) {
      const std::string text = std::move(call->exchange->mutable_request().body);
      Result<Json> body = parse_json(text, "the body");
      if (!body) return call->fail(400, "invalid_request_error", body.error().message, {}, "invalid_json");
      call->body = std::move(*body);
    }
    call->route.handle(call);
  } catch (const std::exception& error) {  // ours are Results: memory, or a defect
    call->fail({ErrorCode::kIo, fmt::format("internal error: {}", error.what())});
  }
}

void App::handle_websocket(std::shared_ptr<http::WebSocket> socket) {
  const http::Request& request = socket->request();
  auto who = keys->authenticate(request.header("authorization"), request.header("x-api-key"));
  if (!who) return socket->close(1008, who.error().message);  // the keys changed since the head
  StreamSocket::start(*this, std::move(socket), std::move(*who));
}

}  // namespace quern::server
