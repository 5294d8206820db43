#include "server/http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "server/http/target.h"

namespace quern::http {
namespace {

struct Reason {
  int status;
  std::string_view phrase;
};

constexpr Reason kReasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

bool is_ours(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOurs = {"connection", "content-length", "date", "transfer-encoding"};
  return std::any_of(kOurs.begin(), kOurs.end(), [&](std::string_view own) { return equal_ignoring_case(own, name); });
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out += "\r\n";
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string_view reason_phrase(int status) {
  const auto* found = std::find_if(std::begin(kReasons), std::end(kReasons),
                                   [&](const Reason& reason) { return reason.status == status; });
  return found == std::end(kReasons) ? std::string_view("Unnamed") : found->phrase;
}

std::string format_date(std::time_t time) {
  // Not by strftime, whose names follow the locale.
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat", kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays.substr(static_cast<size_t>(utc.tm_wday) * 3, 3),
                     utc.tm_mday, kMonths.substr(static_cast<size_t>(utc.tm_mon) * 3, 3), utc.tm_year + 1900,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

bool has_body(int status) {
  return status != 204 && status != 304;
}

void append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  out.append(bytes).append("\r\n");
}

std::string format_head(const AnswerHead& head) {
  const int status = head.status >= 200 && head.status <= 599 ? head.status : 500;
  std::string out = fmt::format("{}{} {}\r\n", kStatusLineStart, status, reason_phrase(status));
  append_field(out, "date", format_date(std::time(nullptr)));
  if (!head.content_type.empty()) append_field(out, "content-type", head.content_type);
  if (head.framing == Framing::kLength) append_field(out, "content-length", std::to_string(head.length));
  if (head.framing == Framing::kChunked) append_field(out, "transfer-encoding", "chunked");
  if (head.close) append_field(out, "connection", "close");
  if (!head.close && head.say_alive) append_field(out, "connection", "keep-alive");
  if (head.headers) {
    for (const auto& [name, value] : *head.headers) {
      if (is_token(name) && !is_ours(name)) append_field(out, name, value);
    }
  }
  return out += "\r\n";
}

Response error_response(int status, std::string_view code, std::string_view message) {
  Response response;
  response.status = status;
  response.body = fmt::format(R"({{"error":{{"message":{},"type":"{}","code":{}}}}})", json_string(message),
                              status < 500 ? "invalid_request_error" : "server_error", json_string(code));
  return response;
}

}  // namespace quern::http
