#include "server/openai/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "text/utf8.h"

namespace quern::server {

namespace {

bool plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

void append_escaped(std::string& to, char c) {
  switch (c) {
    case '"':
      to += "\\\"";
      break;
    case '\\':
      to += "\\\\";
      break;
    case '\n':
      to += "\\n";
      break;
    case '\r':
      to += "\\r";
      break;
    case '\t':
      to += "\\t";
      break;
    default:
      fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<unsigned>(c));
  }
}

}  // namespace

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size() && plain(text[end])) ++end;
    to.append(text, at, end - at);
    at = end;
    if (at == text.size()) break;
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      append_escaped(to, text[at++]);
      continue;
    }
    const Utf8Char c = utf8_decode(text, at);
    utf8_append(to, c.cp);
    at += c.len;
  }
  to += '"';
}

void append_log_prob(std::string& to, double value) {
  fmt::format_to(std::back_inserter(to), "{}", std::isfinite(value) ? value : -9999.0);
}

}  // namespace quern::server
