#include "tools/http.h"

#include <algorithm>

#include "base/clock.h"
#include "hub/http_call.h"
#include "tools/text.h"
#include "tools/value_text.h"

namespace quern::toolbox {

namespace {

constexpr size_t kMaxUrlBytes = 8000;
constexpr size_t kShownBody = 500;

bool uses(const Pattern& pattern, std::string_view argument) {
  return std::any_of(pattern.pieces.begin(), pattern.pieces.end(),
                     [&](const PatternPiece& piece) { return piece.is_argument && piece.text == argument; });
}

// A segment of the path that leads elsewhere.
bool has_dots(std::string_view url) {
  const size_t host = url.find("://") + 3;
  std::string_view path = url.substr(std::min(host, url.size()));
  path = path.substr(0, path.find_first_of("?#"));
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

ToolOutput run_http(const Tool& tool, const std::string& url, const std::string& body,
                    const ToolCallPlan::Cancelled& cancelled) {
  const auto& http = std::get<HttpTool>(tool.what);
  hub::HttpCall call{.method = http.method,
                     .url = url,
                     .headers = http.headers,
                     .body = body,
                     .limit = tool.output_limit + 4,  // a character more, so that the cut is between two
                     .timeout_s = tool.timeout_s,
                     .cancelled = cancelled};
  const auto is_type = [](const auto& header) {
    return header.first.size() == 12 && std::equal(header.first.begin(), header.first.end(), "content-type",
                                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  };
  if (!body.empty() && std::none_of(call.headers.begin(), call.headers.end(), is_type)) {
    call.headers.emplace_back("Content-Type", "application/json");
  }
  ToolOutput output;
  const double start = now_s();
  const auto reply = hub::http_call(call);
  output.seconds = now_s() - start;
  if (!reply) {
    output.timed_out = reply.error().code == ErrorCode::kTimeout;
    output.cancelled = reply.error().code == ErrorCode::kCancelled;
    output.text = reply.error().message;
    return output;
  }
  output.http_status = reply->status;
  output.ok = reply->status < 400;
  output.cut = reply->cut || reply->body.size() > tool.output_limit;
  if (!output.ok) output.text = fmt::format("HTTP status {}\n", reply->status);
  output.text += model_text(reply->body, tool.output_limit, reply->cut ? 1 : 0);
  if (output.text.empty()) output.text = fmt::format("(HTTP status {}, no body)", reply->status);
  return output;
}

}  // namespace

bool method_has_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

std::string url_escape(std::string_view value) {
  std::string result;
  for (const char c : value) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

Result<std::string> call_url(const HttpTool& http, const Json& arguments) {
  std::string url;
  for (const PatternPiece& piece : http.url.pieces) {
    if (!piece.is_argument) {
      url += piece.text;
    } else if (const auto at = arguments.find(piece.text); at != arguments.end()) {
      url += url_escape(value_text(*at));
    }
  }
  if (url.size() > kMaxUrlBytes) {
    return fail_f(ErrorCode::kInvalidArgument, "the address would have {} bytes, more than {}", url.size(),
                  kMaxUrlBytes);
  }
  if (has_dots(url))
    return fail(ErrorCode::kInvalidArgument, "a value must not make '.' or '..' of a part of the address");
  return url;
}

Result<Action> http_action(std::shared_ptr<const Tool> tool, const Json& arguments) {
  const auto& http = std::get<HttpTool>(tool->what);
  QUERN_TRY(const std::string url, call_url(http, arguments));
  std::string body;
  if (method_has_body(http.method)) {
    Json rest = Json::object();
    for (const auto& [name, value] : arguments.items()) {
      if (!uses(http.url, name)) rest[name] = value;
    }
    body = rest.dump();
  }
  std::string shown = fmt::format("{} {}", http.method, printable_lines(url));
  if (!body.empty()) {
    shown += " with the body " + shell_quoted(std::string_view(body).substr(0, kShownBody));
    if (body.size() > kShownBody) shown += fmt::format("... ({} bytes)", body.size());
  }
  return Action{shown, [tool, url, body](const ToolCallPlan::Cancelled& cancelled) {
                  return run_http(*tool, url, body, cancelled);
                }};
}

}  // namespace quern::toolbox
