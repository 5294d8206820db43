#include "chat/literals.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "chat/unicode.h"

namespace quern::jinja {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// The end of digits of `base` from `pos`, single underscores between them allowed.
size_t digits_end(std::string_view s, size_t pos, int base) {
  size_t end = pos;
  while (pos < s.size()) {
    if (digit_of(s[pos]) < base) {
      end = ++pos;
    } else if (s[pos] == '_' && end == pos && pos > 0) {
      ++pos;
    } else {
      break;
    }
  }
  return end;
}

std::string without_underscores(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != '_'; });
  return out;
}

// Digits of `base` to an integer; false on overflow.
bool to_integer(std::string_view digits, int base, bool negative, int64_t& value) {
  value = 0;
  for (char c : digits) {
    if (c == '_') continue;
    if (__builtin_mul_overflow(value, base, &value)) return false;
    const int d = digit_of(c);
    if (negative ? __builtin_sub_overflow(value, d, &value) : __builtin_add_overflow(value, d, &value)) return false;
  }
  return true;
}

int prefix_base(std::string_view s, size_t pos) {
  if (s[pos] != '0' || pos + 1 >= s.size()) return 0;
  switch (s[pos + 1]) {
    case 'x':
    case 'X':
      return 16;
    case 'o':
    case 'O':
      return 8;
    case 'b':
    case 'B':
      return 2;
    default:
      return 0;
  }
}

// The end of the fraction and exponent behind the digits that end at `pos`; `pos` when there are none.
size_t float_end(std::string_view s, size_t pos) {
  size_t end = pos;
  const auto is_digit_at = [&](size_t i) { return i < s.size() && s[i] >= '0' && s[i] <= '9'; };
  if (end < s.size() && s[end] == '.' && is_digit_at(end + 1)) end = digits_end(s, end + 1, 10);
  if (end < s.size() && (s[end] == 'e' || s[end] == 'E')) {
    size_t e = end + 1;
    if (e < s.size() && (s[e] == '+' || s[e] == '-')) ++e;
    if (is_digit_at(e)) end = digits_end(s, e, 10);
  }
  return end;
}

std::string_view strip_space(std::string_view text) {
  size_t begin = 0;
  size_t end = 0;
  bool seen = false;
  for (size_t pos = 0; pos < text.size();) {
    const size_t from = pos;
    if (is_space(next_code_point(text, pos))) continue;
    if (!seen) begin = from;
    seen = true;
    end = pos;
  }
  return seen ? text.substr(begin, end - begin) : std::string_view{};
}

std::string_view append_hex(std::string_view body, size_t& pos, size_t count, std::string& out) {
  char32_t cp = 0;
  for (size_t k = 0; k < count; ++k, ++pos) {
    if (pos >= body.size() || digit_of(body[pos]) > 15) return "truncated \\xXX, \\uXXXX or \\UXXXXXXXX escape";
    cp = cp << 4 | static_cast<char32_t>(digit_of(body[pos]));
  }
  if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) return "an escape is not a Unicode character";
  append_code_point(out, cp);
  return {};
}

}  // namespace

NumberLiteral read_number(std::string_view source, size_t pos) {
  NumberLiteral n;
  if (const int base = prefix_base(source, pos); base != 0) {
    size_t start = pos + 2;
    if (start < source.size() && source[start] == '_') ++start;
    const size_t end = digits_end(source, start, base);
    if (end > start) {
      n.size = end - pos;
      n.too_large = !to_integer(source.substr(start, end - start), base, false, n.integer);
      return n;
    }
  }
  size_t end = digits_end(source, pos, 10);
  // Not a float behind a dot: x.1.2 are two subscripts.
  const size_t with_fraction = pos > 0 && source[pos - 1] == '.' ? end : float_end(source, end);
  n.is_float = with_fraction > end;
  if (n.is_float) {
    end = with_fraction;
    n.real = std::strtod(without_underscores(source.substr(pos, end - pos)).c_str(), nullptr);
  } else {
    // "012" is the token 0 and the token 12.
    if (source[pos] == '0') {
      end = pos;
      while (end < source.size() &&
             (source[end] == '0' || (source[end] == '_' && digits_end(source, end + 1, 1) > end + 1)))
        ++end;
    }
    n.too_large = !to_integer(source.substr(pos, end - pos), 10, false, n.integer);
  }
  n.size = end - pos;
  return n;
}

std::string_view unescape(std::string_view body, std::string& out) {
  constexpr std::string_view kFrom = "\\'\"abfnrtv";
  constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  for (size_t pos = 0; pos < body.size();) {
    const char c = body[pos++];
    if (c != '\\') {
      out += c;
      continue;
    }
    if (pos >= body.size()) return "\\ at end of string";
    const char e = body[pos++];
    std::string_view problem;
    if (const size_t i = kFrom.find(e); i != std::string_view::npos) {
      out += kTo[i];
    } else if (e == '\n') {
      continue;
    } else if (e == 'x' || e == 'u' || e == 'U') {
      problem = append_hex(body, pos, e == 'x' ? 2 : e == 'u' ? 4 : 8, out);
    } else if (e >= '0' && e <= '7') {
      char32_t cp = static_cast<char32_t>(e - '0');
      for (int k = 0; k < 2 && pos < body.size() && body[pos] >= '0' && body[pos] <= '7'; ++k) {
        cp = cp << 3 | static_cast<char32_t>(body[pos++] - '0');
      }
      append_code_point(out, cp);
    } else if (e == 'N') {
      problem = "\\N{...} escapes are not supported";
    } else {
      out += '\\';  // an unknown escape stays as it is; the character follows as text
      --pos;
      if (static_cast<unsigned char>(body[pos]) < 0x80) out += body[pos++];
    }
    if (!problem.empty()) return problem;
  }
  return {};
}

std::optional<ParsedInt> parse_int(std::string_view text, int64_t base) {
  text = strip_space(text);
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || (base != 0 && (base < 2 || base > 36))) return std::nullopt;
  const int prefix = prefix_base(text, 0);
  if (prefix != 0 && (base == 0 || base == prefix)) {
    text.remove_prefix(2);
    if (!text.empty() && text.front() == '_') text.remove_prefix(1);
    base = prefix;
  } else if (base == 0) {
    if (text.front() == '0' && text.find_first_not_of("0_") != std::string_view::npos) return std::nullopt;
    base = 10;
  }
  if (text.empty() || text.front() == '_' || digits_end(text, 0, static_cast<int>(base)) != text.size()) {
    return std::nullopt;
  }
  ParsedInt result{};
  result.overflow = !to_integer(text, static_cast<int>(base), negative, result.value);
  return result;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_space(text);
  std::string_view body = text;
  if (!body.empty() && (body.front() == '-' || body.front() == '+')) body.remove_prefix(1);
  const bool negative = text.starts_with('-');
  std::string lower = to_lower(body);
  if (lower == "inf" || lower == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (lower == "nan") return std::nan("");
  if (body.empty()) return std::nullopt;
  size_t end = body.front() == '.' ? 0 : digits_end(body, 0, 10);
  if (body.front() != '.' && end == 0) return std::nullopt;
  if (end + 1 == body.size() && body[end] == '.' && end > 0)
    return std::strtod(without_underscores(text).c_str(), nullptr);
  // "1.e5": a point without a fraction before the exponent.
  if (end > 0 && body.substr(end).starts_with(".") && end + 1 < body.size() && (body[end + 1] | 32) == 'e') ++end;
  if (float_end(body, end) != body.size()) return std::nullopt;
  return std::strtod(without_underscores(text).c_str(), nullptr);
}

}  // namespace quern::jinja
