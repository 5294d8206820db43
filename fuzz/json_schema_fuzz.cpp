// Any bytes as a JSON schema: a grammar or an error with a message; and the texts of a grammar are JSON values that the
// schema accepts, by the validator that reads the schema itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../tests/support/ir_match.h"
#include "grammar/json_schema.h"
#include "grammar/schema/validate.h"

namespace {

using namespace quern;
using namespace quern::grammar;

void check_texts(const Ir& ir, std::string_view source) {
  schema::Schema document = schema::Schema::parse(source).value();
  schema::Budget budget;
  schema::TextSets texts(document, budget);
  schema::Validator validator(document, texts, budget);
  SplitMix64 random(source.size());
  for (size_t steps : {0, 30, 300}) {
    const std::string text = ir_sample(ir, random, steps);
    if (text.size() > 2000) continue;
    const auto value = schema::parse_json(text);
    if (!value) {
      // A name that is not listed may come twice.
      if (value.error().message.find("twice") == std::string::npos) std::abort();
      continue;
    }
    // oneOf is read as anyOf; what the validator cannot tell is an error.
    const bool one_of = source.find("oneOf") != std::string_view::npos || source.find('\\') != std::string_view::npos;
    const auto verdict = validator.accepts(*value, document.root());
    if (verdict && !*verdict && !one_of) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  IrBuilder builder;
  const auto grammar = add_json_schema(source, {.white_space = size % 2 == 0}, builder);
  if (!grammar) {
    if (grammar.error().message.empty()) std::abort();
    return 0;
  }
  for (const std::string& warning : grammar->warnings) {
    if (warning.empty()) std::abort();
  }
  if (const auto ir = builder.finish(grammar->root)) check_texts(*ir, source);
  return 0;
}
