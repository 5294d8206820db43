// Regular expressions: the first byte says whether the whole text must match. What is read makes an automaton, which is
// written as a grammar; the grammar's shortest text matches.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/code_points.h"
#include "grammar/regex.h"

namespace {

using quern::grammar::Dfa;
using quern::grammar::Ir;
using quern::grammar::IrBuilder;
using quern::grammar::Symbol;

std::string shortest_text(const Ir& ir) {
  std::string text;
  std::vector<Symbol> stack = {{Symbol::Kind::kRule, ir.root}};
  while (!stack.empty()) {
    const Symbol symbol = stack.back();
    stack.pop_back();
    if (symbol.kind == Symbol::Kind::kBytes) {
      text += static_cast<char>(ir.sets[symbol.index].first());
      continue;
    }
    const Ir::Alternative& least = ir.alternatives[ir.least_alternative[symbol.index]];
    for (uint32_t s = least.last; s > least.first; --s) stack.push_back(ir.symbols[s - 1]);
  }
  if (text.size() != ir.least_bytes[ir.root]) __builtin_trap();
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view pattern(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto dfa = quern::grammar::regex_dfa(pattern, {.whole = (data[0] & 1) != 0});
  if (!dfa) return 0;
  for (const Dfa::State& state : dfa->states()) {
    uint32_t from = 0;
    for (const Dfa::Edge& e : state.edges) {
      if (e.first < from || e.last < e.first || e.to >= dfa->states().size()) __builtin_trap();
      from = quern::grammar::code_point_after(e.last);
    }
  }
  IrBuilder plain, json;
  const Symbol as_text = dfa->write(plain), as_json = dfa->write_json(json);
  const auto ir = plain.finish(as_text), inside = json.finish(as_json);
  if (ir.has_value() != inside.has_value() && (ir ? inside : ir).error().code != quern::ErrorCode::kResource) {
    __builtin_trap();
  }
  if (!ir) return 0;
  if (dfa->empty() || !dfa->matches(shortest_text(*ir))) __builtin_trap();
  return 0;
}
