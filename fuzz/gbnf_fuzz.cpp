// GBNF: any bytes give a grammar whose rules hold together and whose shortest text is UTF-8, or an error that says
// something.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/gbnf.h"
#include "text/utf8.h"

namespace {

using quern::grammar::Ir;
using quern::grammar::Symbol;

void check(bool good) {
  if (!good) std::abort();
}

// The text that Ir::least_alternative spells.
std::string shortest(const Ir& ir) {
  std::string text;
  std::vector<Symbol> open = {{Symbol::Kind::kRule, ir.root}};
  while (!open.empty()) {
    const Symbol next = open.back();
    open.pop_back();
    if (next.kind == Symbol::Kind::kBytes) {
      text.push_back(static_cast<char>(ir.sets[next.index].first()));
      continue;
    }
    const Ir::Alternative& a = ir.alternatives[ir.least_alternative[next.index]];
    for (uint32_t s = a.last; s > a.first; --s) open.push_back(ir.symbols[s - 1]);
  }
  return text;
}

void check_rules(const Ir& ir) {
  check(ir.root < ir.rules.size() && ir.least_bytes.size() == ir.rules.size() &&
        ir.least_alternative.size() == ir.rules.size());
  for (size_t r = 0; r < ir.rules.size(); ++r) {
    check(ir.rules[r].first < ir.rules[r].last && ir.rules[r].last <= ir.alternatives.size());
    check(ir.least_alternative[r] >= ir.rules[r].first && ir.least_alternative[r] < ir.rules[r].last);
  }
  for (const Ir::Alternative& a : ir.alternatives) check(a.first <= a.last && a.last <= ir.symbols.size());
  for (const Symbol s : ir.symbols) {
    check(s.index < (s.kind == Symbol::Kind::kRule ? ir.rules.size() : ir.sets.size()));
    check(s.kind == Symbol::Kind::kRule || !ir.sets[s.index].empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto ir = quern::grammar::read_gbnf({reinterpret_cast<const char*>(data), size});
  if (!ir) {
    check(!ir.error().message.empty());
    return 0;
  }
  check_rules(*ir);
  if (ir->least_bytes[ir->root] > 1 << 16) return 0;
  const std::string text = shortest(*ir);
  check(text.size() == ir->least_bytes[ir->root]);
  for (size_t i = 0; i < text.size();) {
    const quern::Utf8Char c = quern::utf8_decode(text, i);
    check(c.valid);
    i += c.len;
  }
  return 0;
}
