// Code points, case and character classes of UTF-8 text, with the answers that Python's str gives.
//
// All functions take valid UTF-8 (see valid_utf8) and are pure; any thread may call them. Source: the Unicode tables of
// utf8proc, plus the few full case mappings that it has only as simple ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quern::jinja {

// Well-formed by RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool valid_utf8(std::string_view text);

[[nodiscard]] size_t count_code_points(std::string_view text);

// Decodes the code point at `pos` (< text.size()) and moves `pos` behind it.
char32_t next_code_point(std::string_view text, size_t& pos);

// The byte offset of code point `index`; text.size() when there are fewer.
[[nodiscard]] size_t offset_of(std::string_view text, size_t index);

void append_code_point(std::string& out, char32_t cp);

// Python's str.upper, lower, capitalize, title, swapcase and casefold.
[[nodiscard]] std::string to_upper(std::string_view text);
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_capitalized(std::string_view text);
[[nodiscard]] std::string to_title(std::string_view text);
[[nodiscard]] std::string swap_case(std::string_view text);
[[nodiscard]] std::string fold_case(std::string_view text);

[[nodiscard]] bool is_space(char32_t cp);
[[nodiscard]] bool is_line_break(char32_t cp);  // where str.splitlines splits
[[nodiscard]] bool is_alpha(char32_t cp);
[[nodiscard]] bool is_decimal(char32_t cp);
[[nodiscard]] bool is_digit(char32_t cp);
[[nodiscard]] bool is_numeric(char32_t cp);
[[nodiscard]] bool is_upper(char32_t cp);
[[nodiscard]] bool is_lower(char32_t cp);
[[nodiscard]] bool is_title(char32_t cp);
[[nodiscard]] bool is_printable(char32_t cp);
[[nodiscard]] bool is_word(char32_t cp);                  // \w of Python's re
[[nodiscard]] bool is_identifier(std::string_view text);  // str.isidentifier

}  // namespace quern::jinja
