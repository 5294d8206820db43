#include "server/call.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "server/app.h"

namespace quern::server {

namespace {

constexpr size_t kMaxIgnoredBytes = 2000;

// Unique within the process; the start of the process makes it so among restarts.
std::string next_id() {
  static std::atomic<uint64_t> count{0};
  static const auto epoch = static_cast<uint64_t>(wall_clock_s() * 1000);
  return fmt::format("req_{:x}{:06x}", epoch, count.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpError http_error(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_request_error", "invalid_value"};
    case ErrorCode::kTooLong:
      return {400, "invalid_request_error", "context_length_exceeded"};
    case ErrorCode::kUnsupported:
      return {400, "invalid_request_error", "unsupported"};
    case ErrorCode::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    case ErrorCode::kBusy:
      return {429, "rate_limit_error", "busy"};
    case ErrorCode::kTimeout:
      return {504, "timeout_error", "deadline"};
    case ErrorCode::kResource:
      return {503, "server_error", "resources"};
    case ErrorCode::kCancelled:
      return {503, "server_error", "stopped"};
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      return {500, "server_error", "internal"};
  }
  return {500, "server_error", "internal"};
}

Json error_body(ApiStyle style, std::string_view type, std::string_view message, std::string_view param,
                std::string_view code) {
  if (style == ApiStyle::kOllama) return {{"error", message}};
  return {{"error",
           {{"message", message},
            {"type", type},
            {"param", param.empty() ? Json(nullptr) : Json(param)},
            {"code", code.empty() ? Json(nullptr) : Json(code)}}}};
}

Call::Call(App& a, const Route& r, std::shared_ptr<http::Exchange> e, std::shared_ptr<const Principal> p)
    : app(a), route(r), exchange(std::move(e)), principal(std::move(p)), id(next_id()), start_(now_s()) {
  record.time_s = wall_clock_s();
}

Call::~Call() {
  if (!answered_) fail({ErrorCode::kIo, "the request was dropped without an answer"});
  record.id = id;
  record.method = exchange->request().method;
  record.route = exchange->request().path;
  record.status = status_;
  record.key_name = principal->name;
  record.client = exchange->request().remote;
  record.duration_s = now_s() - start_;
  app.finished(route, record);
}

std::string_view Call::path_value(std::string_view name) const {
  for (const auto& [key, value] : path) {
    if (key == name) return value;
  }
  return {};
}

void Call::tell_ignored(const std::vector<std::string>& ignored) {
  if (ignored.empty()) return;
  constexpr const char* kName = "x-quern-ignored";
  auto header = std::find_if(headers.begin(), headers.end(), [](const auto& h) { return h.first == kName; });
  if (header == headers.end()) header = headers.insert(headers.end(), {kName, std::string()});
  std::string& value = header->second;
  for (const std::string& name : ignored) {
    if (!value.empty()) value += ", ";
    value += name;
  }
  // Names come from the client: what a header cannot hold is not repeated, and not at any length.
  std::replace_if(value.begin(), value.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  if (value.size() > kMaxIgnoredBytes) value.replace(kMaxIgnoredBytes, std::string::npos, "...");
}

http::Headers Call::take_headers() {
  http::Headers all = std::move(headers);
  all.emplace_back("x-request-id", id);
  app.add_cors(exchange->request(), all);
  return all;
}

void Call::respond(http::Response response) {
  if (answered_) return;
  answered_ = true;
  status_ = response.status;
  for (auto& header : take_headers()) response.headers.push_back(std::move(header));
  exchange->respond(std::move(response));
}

void Call::respond(const Json& value, int status) {
  respond({.status = status, .headers = {}, .body = dump(value), .content_type = "application/json"});
}

void Call::fail(const Error& error) {
  const HttpError e = http_error(error.code);
  if (e.status == 429) {
    headers.emplace_back("retry-after", fmt::format("{}", app.retry_after_s()));
  }
  fail(e.status, e.type, error.message, {}, e.code);
}

void Call::refuse(const BodyError& problem) {
  fail(400, "invalid_request_error", problem.message, problem.param, "invalid_value");
}

void Call::fail(int status, std::string_view type, std::string_view message, std::string_view param,
                std::string_view code) {
  record.error = std::string(message);
  const Json value = error_body(route.style, type, message, param, code);
  if (!streaming_) return respond(value, status);
  if (answered_) return;
  status_ = status;  // what the log says; the client got 200 before
  if (lines_) {
    line(dump(value));
  } else {
    event(dump(value));
  }
  end();
}

void Call::begin_events() {
  streaming_ = true;
  status_ = 200;
  headers.emplace_back("cache-control", "no-cache");
  headers.emplace_back("x-accel-buffering", "no");  // a proxy that waits for more spoils a stream
  exchange->begin(200, "text/event-stream; charset=utf-8", take_headers());
}

void Call::event(std::string_view data) {
  std::string text;
  text.reserve(data.size() + 8);
  text.append("data: ").append(data).append("\n\n");
  exchange->write(std::move(text));
}

void Call::event(std::string_view name, std::string_view data) {
  exchange->write(fmt::format("event: {}\ndata: {}\n\n", name, data));
}

void Call::begin_lines() {
  streaming_ = lines_ = true;
  status_ = 200;
  exchange->begin(200, "application/x-ndjson", take_headers());
}

void Call::line(std::string_view json) {
  std::string text(json);
  text += '\n';
  exchange->write(std::move(text));
}

void Call::end() {
  if (answered_) return;
  answered_ = true;
  exchange->end();
}

}  // namespace quern::server
