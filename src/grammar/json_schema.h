// JSON Schema (draft 2020-12) to a grammar: the texts that it matches are JSON values that the schema accepts. Not all
// of them: properties come in the order in which the schema lists them, numbers are written without exponents where
// they have bounds, and white space is a little. A keyword that would make an accepted value wrong is never ignored:
// kUnsupported names the keyword and its place (a JSON pointer). Any thread.
//
// Objects: properties that are not listed are written where additionalProperties is true or a schema, or where no
// property is listed and it does not say false. Their names differ from the listed ones.
// oneOf is read as anyOf, with a warning where two of its branches may accept the same value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/ir.h"

namespace quern::grammar {

struct JsonOptions {
  bool white_space = true;  // between tokens a space, or a line break and an indentation; false: none at all
};

struct JsonGrammar {
  Symbol root;
  std::vector<std::string> warnings;
};

// Adds the schema's rules to `to`: a grammar around it (a tool call's) can use the symbol.
Result<JsonGrammar> add_json_schema(std::string_view schema, const JsonOptions& options, IrBuilder& to);
// Any JSON object.
Symbol add_json_object(const JsonOptions& options, IrBuilder& to);

}  // namespace quern::grammar
