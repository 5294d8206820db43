#include "chat/format_spec.h"

#include <cmath>
#include <cstdio>

#include "chat/operators.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

// Digits at the head of `text`, saturated far above any limit.
int64_t take_number(std::string_view& text) {
  int64_t n = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (n < (int64_t{1} << 40)) n = n * 10 + (text.front() - '0');
    text.remove_prefix(1);
  }
  return n;
}

std::string group_digits(std::string digits, char separator, size_t every) {
  for (size_t i = digits.size(); i > every;) {
    i -= every;
    digits.insert(i, 1, separator);
  }
  return digits;
}

// Sign, prefix and digits, padded; '=' puts the fill between sign and digits.
std::string assemble(const FormatSpec& spec, bool negative, std::string_view prefix, std::string_view digits) {
  std::string head = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  head += prefix;
  if (spec.align != '=') return pad(spec, head.append(digits), '>');
  FormatSpec inner = spec;
  inner.align = '>';
  inner.width = spec.width - static_cast<int64_t>(head.size());
  return head + pad(inner, digits, '>');
}

std::string print_double(char type, bool alternate, int64_t precision, double value) {
  std::string format = alternate ? "%#.*" : "%.*";
  format += type;
  std::string out(400 + static_cast<size_t>(precision), '\0');
  const int n = std::snprintf(out.data(), out.size(), format.c_str(), static_cast<int>(precision), value);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

std::string float_digits(const FormatSpec& spec, double magnitude) {
  if (spec.type == 0 && spec.precision < 0) return repr_of_double(magnitude);
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  if (spec.type == '%') return print_double('f', spec.alternate, precision, magnitude * 100) + "%";
  if (spec.type == 0) {
    std::string text = print_double('g', false, precision == 0 ? 1 : precision, magnitude);
    if (text.find_first_of(".en") == std::string::npos) text += ".0";
    return text;
  }
  return print_double(spec.type, spec.alternate, precision, magnitude);
}

}  // namespace

bool check_size(Runtime& rt, const FormatSpec& spec) {
  if (spec.width <= FormatSpec::kMaxWidth && spec.precision <= FormatSpec::kMaxPrecision) return true;
  rt.raise("ValueError", "width or precision of a format is too large");
  return false;
}

bool parse_spec(Runtime& rt, std::string_view text, FormatSpec& spec) {
  size_t first = 0;
  if (!text.empty()) next_code_point(text, first);
  if (first > 0 && first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    text.remove_prefix(first + 1);
  } else if (!text.empty() && is_align(text.front())) {
    spec.align = text.front();
    text.remove_prefix(1);
  }
  const auto take = [&](std::string_view any) {
    if (text.empty() || any.find(text.front()) == std::string_view::npos) return '\0';
    const char c = text.front();
    text.remove_prefix(1);
    return c;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0")) {
    if (spec.align == 0) {
      spec.fill.assign(1, '0');
      spec.align = '=';
    }
  }
  spec.width = take_number(text);
  spec.grouping = take(",_");
  if (take(".")) {
    if (text.empty() || text.front() < '0' || text.front() > '9') {
      rt.raise("ValueError", "Format specifier missing precision");
      return false;
    }
    spec.precision = take_number(text);
  }
  spec.type = take("bcdeEfFgGnosxX%");
  if (!text.empty()) {
    rt.raise("ValueError", "Invalid format specifier");
    return false;
  }
  return check_size(rt, spec);
}

std::string pad(const FormatSpec& spec, std::string_view text, char default_align) {
  const auto length = static_cast<int64_t>(count_code_points(text));
  if (length >= spec.width) return std::string(text);
  const auto missing = static_cast<size_t>(spec.width - length);
  const char align = spec.align ? spec.align : default_align;
  const size_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  for (size_t i = 0; i < before; ++i) out += spec.fill;
  out += text;
  for (size_t i = before; i < missing; ++i) out += spec.fill;
  return out;
}

std::string format_int(Runtime& rt, const FormatSpec& spec, int64_t value) {
  if (spec.precision >= 0) {
    rt.raise("ValueError", "Precision not allowed in integer format specifier");
    return {};
  }
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits;
  std::string_view prefix;
  switch (spec.type) {
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    case 'c':
      if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        rt.raise("OverflowError", "%c arg not in range(0x110000)");
        return {};
      }
      append_code_point(digits, static_cast<char32_t>(value));
      return pad(spec, digits, '<');
    default:
      digits = fmt::format("{}", magnitude);
  }
  if (spec.grouping) digits = group_digits(std::move(digits), spec.grouping, prefix.empty() ? 3 : 4);
  return assemble(spec, value < 0, spec.alternate ? prefix : "", digits);
}

std::string format_float(const FormatSpec& spec, double value) {
  std::string digits;
  const bool negative = std::signbit(value) && !std::isnan(value);
  if (!std::isfinite(value)) {
    const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
    digits += std::isnan(value) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf";
    if (spec.type == '%') digits += '%';
  } else {
    digits = float_digits(spec, std::fabs(value));
    if (spec.grouping) {
      const size_t whole = digits.find_first_not_of("0123456789");
      digits = group_digits(digits.substr(0, whole), spec.grouping, 3) +
               (whole == std::string::npos ? "" : digits.substr(whole));
    }
  }
  return assemble(spec, negative, "", digits);
}

std::string format_value(Runtime& rt, const FormatSpec& spec, const Value& value) {
  const std::string_view float_types = "eEfFgG%";
  if (value.is(Kind::kFloat) ||
      (value.is_integral() && spec.type && float_types.find(spec.type) < float_types.size())) {
    if (spec.type && spec.type != 'n' && float_types.find(spec.type) == std::string_view::npos) {
      rt.raise("ValueError", fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
      return {};
    }
    return format_float(spec, value.as_double());
  }
  if (value.is_integral() && spec.type != 's') return format_int(rt, spec, value.as_int());
  if ((!value.is_string() && !value.is_undefined()) || (spec.type && spec.type != 's') || spec.align == '=') {
    rt.raise("ValueError", fmt::format("this format does not fit an object of type '{}'", type_name(value)));
    return {};
  }
  std::string text = str_of(rt, value);
  if (spec.precision >= 0) text.resize(offset_of(text, static_cast<size_t>(spec.precision)));
  return pad(spec, text, '<');
}

}  // namespace quern::jinja
