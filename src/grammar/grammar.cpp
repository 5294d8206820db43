#include "quern/grammar.h"

#include "grammar/gbnf.h"
#include "grammar/internals.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"

namespace quern {

using grammar::IrBuilder;

Result<Grammar> Grammar::json_schema(std::string_view schema) {
  IrBuilder builder;
  QUERN_TRY(grammar::JsonGrammar json, grammar::add_json_schema(schema, {}, builder));
  QUERN_TRY(grammar::Ir ir, builder.finish(json.root));
  return GrammarInternals::make(std::move(ir), std::move(json.warnings));
}

Result<Grammar> Grammar::json_object() {
  IrBuilder builder;
  const grammar::Symbol root = grammar::add_json_object({}, builder);
  QUERN_TRY(grammar::Ir ir, builder.finish(root));
  return GrammarInternals::make(std::move(ir));
}

Result<Grammar> Grammar::regex(std::string_view pattern) {
  QUERN_TRY(const grammar::Dfa dfa, grammar::regex_dfa(pattern, {.whole = true}));
  IrBuilder builder;
  QUERN_TRY(grammar::Ir ir, builder.finish(dfa.minimal().write(builder)));
  return GrammarInternals::make(std::move(ir));
}

Result<Grammar> Grammar::gbnf(std::string_view source) {
  QUERN_TRY(grammar::Ir ir, grammar::read_gbnf(source));
  return GrammarInternals::make(std::move(ir));
}

}  // namespace quern
