#include "tools/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/utf8.h"

namespace quern::toolbox {

namespace {

// Characters that have no form of their own and change how others look: zero width and direction marks, byte order
// mark, line and paragraph separators, tags.
bool is_invisible(uint32_t cp) {
  return (cp >= 0x7F && cp < 0xA0) || cp == 0xAD || cp == 0x61C || cp == 0x180E || (cp >= 0x200B && cp <= 0x200F) ||
         (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF ||
         (cp >= 0xE0000 && cp <= 0xE007F);
}

// Appends the character at `pos` as it is, or escaped where it must not be shown; returns its bytes.
size_t append_visible(std::string& out, std::string_view text, size_t pos) {
  const Utf8Char c = utf8_decode(text, pos);
  if (!c.valid) {
    for (size_t i = 0; i < c.len; ++i) out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[pos + i]));
  } else if (c.cp == '\n' || c.cp == '\t') {
    out += c.cp == '\n' ? "\\n" : "\\t";
  } else if (c.cp < 0x20 || c.cp == 0x7F) {
    out += fmt::format("\\x{:02x}", c.cp);
  } else if (is_invisible(c.cp)) {
    out += c.cp > 0xFFFF ? fmt::format("\\U{:08x}", c.cp) : fmt::format("\\u{:04x}", c.cp);
  } else {
    out += text.substr(pos, c.len);
  }
  return c.len;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_./:=@%+,-").find(c) != std::string_view::npos;
}

}  // namespace

std::string model_text(std::string_view bytes, size_t limit, uint64_t more) {
  const size_t all = bytes.size();
  if (all > limit) {
    size_t end = limit;
    while (end > 0 && limit - end < 4 && (static_cast<uint8_t>(bytes[end]) & 0xC0) == 0x80) --end;
    bytes = bytes.substr(0, end);
  }
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Char c = utf8_decode(bytes, i);
    if (c.valid && c.cp != 0) {
      text += bytes.substr(i, c.len);
    } else {
      utf8_append(text, kReplacementChar);
    }
    i += c.len;
  }
  if (bytes.size() < all || more > 0) {
    text += fmt::format("\n[cut: these are the first {} bytes of {}{}]", bytes.size(), more > 0 ? "at least " : "",
                        all + more);
  }
  return text;
}

std::string shell_quoted(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string escaped;
  bool as_it_is = true;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\' || text[i] == '\'') {  // only inside $'...' in need of a backslash
      escaped += '\\';
      escaped += text[i++];
      continue;
    }
    const size_t before = escaped.size(), n = append_visible(escaped, text, i);
    as_it_is = as_it_is && escaped.compare(before, std::string::npos, text, i, n) == 0;
    i += n;
  }
  if (!as_it_is) return "$'" + escaped + "'";
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

std::string printable_lines(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\n' || text[i] == '\t') {
      result += text[i++];
    } else {
      i += append_visible(result, text, i);
    }
  }
  return result;
}

}  // namespace quern::toolbox
