#include "grammar/json_spelling.h"

#include <fmt/format.h>

#include <string>

#include "text/utf8.h"

namespace quern::grammar {

Symbol json_character(uint32_t cp, IrBuilder& to) {
  std::string text;
  utf8_append(text, cp);
  const Symbol plain = to.literal(text);
  if (cp < kFirstRareCharacter) return plain;
  const uint32_t pair = cp - 0x10000;
  const Symbol escape = to.literal(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 | pair >> 10, 0xDC00 | (pair & 0x3FF)));
  return to.choice({plain, escape});
}

Symbol json_literal(std::string_view json, IrBuilder& to) {
  IrBuilder::Sequence parts;
  size_t begin = 0;
  for (size_t at = 0; at < json.size();) {
    const Utf8Char c = utf8_decode(json, at);
    if (c.valid && c.cp >= kFirstRareCharacter) {
      if (begin < at) parts.push_back(to.literal(json.substr(begin, at - begin)));
      parts.push_back(json_character(c.cp, to));
      begin = at + c.len;
    }
    at += c.len;
  }
  if (parts.empty()) return to.literal(json);
  if (begin < json.size()) parts.push_back(to.literal(json.substr(begin)));
  return to.sequence(parts);
}

}  // namespace quern::grammar
