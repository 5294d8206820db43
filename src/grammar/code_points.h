// CodePoints: a set of characters, as ranges of code points. Surrogates are no characters: a range may span them, but
// neither begins nor ends with one. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/ir.h"

namespace quern::grammar {

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

constexpr uint32_t code_point_after(uint32_t cp) {
  return cp == 0xD7FF ? 0xE000 : cp + 1;
}
constexpr uint32_t code_point_before(uint32_t cp) {
  return cp == 0xE000 ? 0xD7FF : cp - 1;
}

using CodePoints = std::vector<IrBuilder::Range>;

// The same characters in order, disjoint and not touching; what is beyond kLastCodePoint is left out. The functions
// below take and give sets in this form.
CodePoints normalized(CodePoints ranges);
CodePoints complement(const CodePoints& set);
CodePoints difference(const CodePoints& a, const CodePoints& b);
bool contains(const CodePoints& set, uint32_t cp);
// `to` need not be normalized, nor is it afterwards.
void append(CodePoints& to, const CodePoints& more);

}  // namespace quern::grammar
