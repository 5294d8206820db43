#include "chat/text.h"

#include <algorithm>

#include "chat/unicode.h"

namespace quern::jinja {
namespace {

size_t previous_start(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

}  // namespace

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> chars) {
  const auto strips = [&](std::string_view letter) {
    if (chars) return chars->find(letter) != std::string_view::npos;
    size_t pos = 0;
    return is_space(next_code_point(letter, pos));
  };
  if (side != Side::kRight) {
    while (!text.empty()) {
      size_t pos = 0;
      next_code_point(text, pos);
      if (!strips(text.substr(0, pos))) break;
      text.remove_prefix(pos);
    }
  }
  if (side != Side::kLeft) {
    while (!text.empty()) {
      const size_t start = previous_start(text, text.size());
      if (!strips(text.substr(start))) break;
      text = text.substr(0, start);
    }
  }
  return text;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t max_splits, bool from_right) {
  std::vector<std::string_view> parts;
  const auto limit = max_splits < 0 ? SIZE_MAX : static_cast<size_t>(max_splits);
  text = strip(text, from_right ? Side::kRight : Side::kLeft, std::nullopt);
  while (!text.empty() && parts.size() < limit) {
    if (from_right) {
      size_t start = text.size();
      while (start > 0) {
        const size_t before = previous_start(text, start);
        size_t pos = before;
        if (is_space(next_code_point(text, pos))) break;
        start = before;
      }
      parts.push_back(text.substr(start));
      text = strip(text.substr(0, start), Side::kRight, std::nullopt);
    } else {
      size_t end = 0;
      while (end < text.size()) {
        size_t pos = end;
        if (is_space(next_code_point(text, pos))) break;
        end = pos;
      }
      parts.push_back(text.substr(0, end));
      text = strip(text.substr(end), Side::kLeft, std::nullopt);
    }
  }
  if (!text.empty()) parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t max_splits,
                                       bool from_right) {
  std::vector<std::string_view> parts;
  const auto limit = max_splits < 0 ? SIZE_MAX : static_cast<size_t>(max_splits);
  while (parts.size() < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    const char32_t cp = next_code_point(text, pos);
    if (!is_line_break(cp)) continue;
    if (cp == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    lines.push_back(text.substr(begin, (keep_ends ? pos : at) - begin));
    begin = pos;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace(Runtime& rt, std::string_view text, std::string_view from, std::string_view to, int64_t count) {
  std::string out;
  const auto limit = count < 0 ? SIZE_MAX : static_cast<size_t>(count);
  size_t done = 0;
  size_t pos = 0;
  if (from.empty()) {  // before every code point, and at the end
    for (; done < limit && rt.fits(out.size()); ++done) {
      out += to;
      if (pos >= text.size()) return out;
      const size_t at = pos;
      next_code_point(text, pos);
      out += text.substr(at, pos - at);
    }
    return out.append(text.substr(pos));
  }
  for (; done < limit && rt.fits(out.size()); ++done) {
    const size_t at = text.find(from, pos);
    if (at == std::string_view::npos) break;
    out.append(text.substr(pos, at - pos)).append(to);
    pos = at + from.size();
  }
  return out.append(text.substr(pos));
}

}  // namespace quern::jinja
