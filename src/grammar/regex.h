// Regular expressions as ECMA-262 with the flag u writes them, the dialect of JSON Schema: . [a-z] \d \w \s \p{..}
// groups, alternatives, * + ? {m,n}, ^ $ at places where they can be told (the beginning and the end of alternatives),
// \xHH \uHHHH
// \u{..} escapes. What cannot be told by a finite automaton or is not supported (look-around, back references, \b,
// named classes other than those below) is refused by name with its place: kUnsupported; malformed: kInvalidArgument.
// Nesting and sizes are bounded. Any thread. Source: ECMA-262, 22.2.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/dfa.h"

namespace quern::grammar {

struct RegexOptions {
  bool whole = false;  // the pattern matches the whole text; false: somewhere in it, as JSON Schema's `pattern` does
};
Result<Dfa> regex_dfa(std::string_view pattern, const RegexOptions& options = {});

}  // namespace quern::grammar
