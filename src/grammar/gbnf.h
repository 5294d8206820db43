// GBNF, the grammar language of llama.cpp (its grammars/README.md): rules name ::= ..., "literals", [classes], [^of
// others], . (any character), (groups), alternatives |, * + ? {m} {m,} {m,n}, # comments. A rule ends with its line,
// but goes on after ::= and |, before |, and within parentheses. <|token|> in angle brackets is that special token, or
// its text in other tokens. The rule "root" is where a text begins; rules may be unused, not undefined and not defined
// twice.
//
// kInvalidArgument with line and column (in characters, from 1); kUnsupported by name for what needs a vocabulary:
// token ids <[5]> and negated tokens !<...>; kResource beyond the limits of size, nesting and repetition. Any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/ir.h"

namespace quern::grammar {

Result<Ir> read_gbnf(std::string_view source);

}  // namespace quern::grammar
