// Regular expressions as ECMA-262 with the flag u writes them, the dialect of JSON Schema: . [a-z] \d \w \s \p{..}
// groups, alternatives, * + ? {m,n}, ^ and $ anywhere, \xHH \uHHHH \u{..} escapes. What a finite automaton cannot tell
// or is not supported (look-around, back references, \b, properties that are no general category) is refused by name
// with its place: kUnsupported; malformed: kInvalidArgument. Nesting, sizes and steps are bounded: kResource. Any
// thread.
//
// Where dialects differ, what matches is what all of them take: \D \W \S and negated classes leave out what Python or
// Rust count among \d \w \s (regex_class.h). Source: ECMA-262, 22.2.
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
