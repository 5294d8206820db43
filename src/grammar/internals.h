// The inside of Grammar, for the rooms that build and follow grammars.
#pragma once

#include <memory>

#include "grammar/ir.h"
#include "quern/grammar.h"

namespace quern {

struct GrammarInternals {
  static Grammar make(grammar::Ir ir, std::vector<std::string> warnings = {}) {
    Grammar g;
    g.ir_ = std::make_shared<const grammar::Ir>(std::move(ir));
    g.warnings_ = std::move(warnings);
    return g;
  }
  static const std::shared_ptr<const grammar::Ir>& ir(const Grammar& g) { return g.ir_; }
};

}  // namespace quern
