#include "grammar/json_schema.h"

#include "grammar/schema/compile.h"

namespace quern::grammar {

Result<JsonGrammar> add_json_schema(std::string_view schema, const JsonOptions& options, IrBuilder& to) {
  QUERN_TRY(schema::Schema document, schema::Schema::parse(schema));
  schema::Compiler compiler(document, options, to);
  QUERN_TRY(const Symbol root, compiler.compile());
  return JsonGrammar{.root = root, .warnings = compiler.take_warnings()};
}

Symbol add_json_object(const JsonOptions& options, IrBuilder& to) {
  return schema::JsonText(options, to).any_object();
}

}  // namespace quern::grammar
