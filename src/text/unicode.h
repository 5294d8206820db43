// Character classes for the pre-tokenizers: the Unicode general categories that their expressions name.
//
// Source: Unicode Character Database through utf8proc (two dependent table loads, about 2 ns a character, so no table
// of our own); ASCII, nearly all of most texts, has a table. Pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "text/utf8.h"

namespace quern {

// A set of classes in one byte.
enum CharClass : uint8_t {
  kLetter = 1,   // \p{L}
  kNumber = 2,   // \p{N}
  kMark = 4,     // \p{M}
  kPunct = 8,    // \p{P}
  kSymbol = 16,  // \p{S}
  kSpace = 32,   // \s: the White_Space property
  kUpper = 64,   // \p{Lu} or \p{Lt}; kLetter is set too
  kLower = 128,  // \p{Ll}; kLetter is set too
};

uint8_t unicode_class(uint32_t cp);
bool unicode_is_decimal(uint32_t cp);  // \d: \p{Nd}
// The general category in two letters: "Lu". Static.
const char* unicode_category(uint32_t cp);

// Han ideographs as Kimi K2 and BERT mean them: by block.
bool unicode_is_han(uint32_t cp);

extern const std::array<uint8_t, 128> kAsciiClass;

// A character with its class; len 0 past the end, where cls is 0 too.
struct ClassifiedChar {
  uint32_t cp;
  uint8_t len;
  uint8_t cls;

  [[nodiscard]] bool is(uint8_t classes) const { return (cls & classes) != 0; }
  // [^...] of the classes: false at the end of the text.
  [[nodiscard]] bool is_not(uint8_t classes) const { return len != 0 && (cls & classes) == 0; }
};

inline constexpr uint32_t kEndOfText = 0xFFFFFFFF;

// Invalid bytes count as U+FFFD, one by one: a symbol.
inline ClassifiedChar classify_at(std::string_view text, size_t pos) {
  if (pos >= text.size()) return {kEndOfText, 0, 0};
  const auto lead = static_cast<uint8_t>(text[pos]);
  if (lead < 0x80) return {lead, 1, kAsciiClass[lead]};
  const Utf8Char c = utf8_decode(text, pos);
  if (!c.valid) return {kReplacementChar, 1, kSymbol};
  return {c.cp, c.len, unicode_class(c.cp)};
}

}  // namespace quern
