// The named character classes of regular expressions: \d \w \s and \p{..}. Any thread; the tables are built at first
// use.
//
// ECMA-262's \d and \w are ASCII, while those of Python, Rust and others hold all of Unicode. So that a text passes
// under either, what a negation (\D, [^\d]) matches is what neither has: `excluded` is not the complement of `matched`.
#pragma once

#include <optional>
#include <string_view>

#include "grammar/code_points.h"

namespace quern::grammar {

struct RegexClass {
  CodePoints matched, excluded;

  [[nodiscard]] RegexClass negated() const { return {excluded, matched}; }
};

// 'd', 'w' or 's'.
const RegexClass& regex_class(char letter);
// What stands in \p{..}: a general category, short or long, with or without "gc=" or "General_Category="; Any; ASCII.
// nullopt for another.
std::optional<RegexClass> regex_property(std::string_view name);

}  // namespace quern::grammar
