// GBNF, the grammar language of llama.cpp (its grammars/README.md): rules name ::= ..., literals, [classes], ., groups,
// alternatives, * + ? {m,n}, comments; <|token|> in angle brackets is that special token. The rule "root" is where a text
// begins. kInvalidArgument with line and column; kUnsupported by name (token ids in brackets, negated tokens). Any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/ir.h"

namespace quern::grammar {

Result<Ir> read_gbnf(std::string_view source);

}  // namespace quern::grammar
