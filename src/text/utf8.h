// UTF-8 decoding that never loses a byte (The Unicode Standard, table 3-7: no overlong forms, no surrogates).
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quern {

inline constexpr uint32_t kReplacementChar = 0xFFFD;

struct Utf8Char {
  uint32_t cp;  // kReplacementChar when not valid
  uint8_t len;  // bytes consumed, at least 1; of an invalid sequence its maximal subpart (Unicode, 3.9 D93b)
  bool valid;
  bool incomplete;  // the text ends inside what could still become a character
};

// The character at `pos`, which is inside the text.
inline Utf8Char utf8_decode(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(pos);
  if (lead < 0x80) return {lead, 1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacementChar, 1, false, false};
  const int need = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  // The second byte's range excludes overlong forms, surrogates and values above U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t cp = lead & (0x3Fu >> need);
  for (int i = 1; i <= need; ++i) {
    if (pos + i >= text.size()) return {kReplacementChar, static_cast<uint8_t>(i), false, true};
    const uint8_t b = byte(pos + i);
    if (b < (i == 1 ? low : 0x80) || b > (i == 1 ? high : 0xBF)) {
      return {kReplacementChar, static_cast<uint8_t>(i), false, false};
    }
    cp = cp << 6 | (b & 0x3Fu);
  }
  return {cp, static_cast<uint8_t>(need + 1), true, false};
}

inline void utf8_append(std::string& out, uint32_t cp) {
  if (cp < 0x80) {
    out.push_back(static_cast<char>(cp));
    return;
  }
  const int tail = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
  constexpr uint8_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kLead[tail] | cp >> (6 * tail)));
  for (int i = tail - 1; i >= 0; --i) out.push_back(static_cast<char>(0x80 | (cp >> (6 * i) & 0x3F)));
}

}  // namespace quern
