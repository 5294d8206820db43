// Python's literals: numbers and string escapes, for the lexer; text to number, for the filters int and float.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quern::jinja {

struct NumberLiteral {
  size_t size = 0;  // bytes taken
  bool is_float = false;
  bool too_large = false;
  int64_t integer = 0;
  double real = 0;
};

// The number at `pos`, where a digit stands.
NumberLiteral read_number(std::string_view source, size_t pos);

// Decodes the escapes of a string literal into `out`; the problem, or empty.
std::string_view unescape(std::string_view body, std::string& out);

// Python's int(text, base) and float(text); nullopt where those raise a ValueError.
struct ParsedInt {
  int64_t value;
  bool overflow;
};
std::optional<ParsedInt> parse_int(std::string_view text, int64_t base);
std::optional<double> parse_float(std::string_view text);

}  // namespace quern::jinja
