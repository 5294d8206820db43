// From a request on the network to a route's handler: path, method, key, rate, body.
#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "server/app.h"
#include "server/call.h"

namespace quern::server {

namespace {

constexpr size_t kMaxJsonDepth = 64;
// Of all objects together: Json keeps members in a list, which is searched for each one that comes.
constexpr uint64_t kMaxJsonComparisons = uint64_t{1} << 27;

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

// Goes over a document before anything is built from it. What would cost much later is refused: a deep one becomes deep
// recursion, and an object of n members n * n / 2 comparisons. (A callback of Json::parse cannot do this: with one,
// each end of an object searches all that comes before it in the array around.)
class JsonGuard final : public nlohmann::json_sax<Json> {
 public:
  [[nodiscard]] const std::string& problem() const { return problem_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override {
    comparisons_ += members_.back()++;
    return comparisons_ <= kMaxJsonComparisons || refuse("the body's objects have too many members");
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    return refuse(fmt::format("the body is not valid JSON: {}", error.what()));
  }

 private:
  bool open() {
    members_.push_back(0);
    return members_.size() <= kMaxJsonDepth ||
           refuse(fmt::format("the body is nested deeper than {} levels", kMaxJsonDepth));
  }
  bool close() {
    members_.pop_back();
    return true;
  }
  bool refuse(std::string why) {
    problem_ = std::move(why);
    return false;
  }

  std::vector<uint64_t> members_;  // so far, of what is open
  uint64_t comparisons_ = 0;
  std::string problem_;
};

Result<Json> parse_body(const std::string& text) {
  try {
    JsonGuard guard;
    if (!Json::sax_parse(text, &guard)) return fail(ErrorCode::kInvalidArgument, guard.problem());
    return Json::parse(text);
  } catch (const std::exception& error) {  // memory
    return fail_f(ErrorCode::kInvalidArgument, "the body cannot be read: {}", error.what());
  }
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
      Result<Json> body = parse_body(text);
      if (!body) return call->fail(400, "invalid_request_error", body.error().message, {}, "invalid_json");
      call->body = std::move(*body);
    }
    call->route.handle(call);
  } catch (const std::exception& error) {  // ours are Results: memory, or a defect
    call->fail({ErrorCode::kIo, fmt::format("internal error: {}", error.what())});
  }
}

}  // namespace quern::server
