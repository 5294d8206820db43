// Any bytes as a JSON schema: a grammar or an error with a message; and the texts of a grammar are JSON values that the
// schema accepts, by the validator that reads the schema itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "grammar/json_schema.h"
#include "grammar/schema/validate.h"

namespace {

using namespace quern;
using namespace quern::grammar;

// A text: alternatives and bytes at random until so many symbols were taken, then the shortest end.
std::string text_of(const Ir& ir, SplitMix64& random, size_t steps) {
  std::string text;
  std::vector<Symbol> stack = {{Symbol::Kind::kRule, ir.root}};
  for (size_t step = 0; !stack.empty(); ++step) {
    const Symbol symbol = stack.back();
    stack.pop_back();
    if (symbol.kind == Symbol::Kind::kBytes) {
      auto skip = static_cast<int>(random.next() % static_cast<uint64_t>(ir.sets[symbol.index].count()));
      ir.sets[symbol.index].for_each([&](uint8_t byte) {
        if (skip-- == 0) text += static_cast<char>(byte);
      });
      continue;
    }
    const Ir::Rule& rule = ir.rules[symbol.index];
    const Ir::Alternative& chosen = ir.alternatives[step < steps ? rule.first + random.next() % (rule.last - rule.first)
                                                                 : ir.least_alternative[symbol.index]];
    for (uint32_t s = chosen.last; s > chosen.first; --s) stack.push_back(ir.symbols[s - 1]);
  }
  return text;
}

void check_texts(const Ir& ir, std::string_view source) {
  schema::Schema document = schema::Schema::parse(source).value();
  schema::Budget budget;
  schema::TextSets texts(document, budget);
  schema::Validator validator(document, texts, budget);
  SplitMix64 random(source.size());
  if (ir.least_bytes[ir.root] > 2000) return;
  for (size_t steps : {0, 30, 300}) {
    const std::string text = text_of(ir, random, steps);
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
