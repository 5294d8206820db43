// The named character classes of regular expressions: \d \w \s and \p{..}. Any thread; the tables are built at first
// use, that of the categories, which only \D \W and \p need, in about 5 ms.
//
// ECMA-262's \d and \w are ASCII, while those of Python, Rust and others hold all of Unicode. So that a text passes
// under either, \D holds what is in neither \d: it is less than the complement.
#pragma once

#include <optional>
#include <string_view>

#include "grammar/code_points.h"

namespace quern::grammar {

// One of "dDwWsS".
const CodePoints& regex_class(char letter);
// What stands in \p{..}: a general category, short or long, with or without "gc=" or "General_Category="; Any; ASCII.
// nullopt for another.
std::optional<CodePoints> regex_property(std::string_view name);

}  // namespace quern::grammar
