// The formats of JSON Schema (draft 2020-12, validation, 7.3) as automata. Each holds only valid texts, not always all
// of them: a host name has at most 63 characters, a local part no quotes, a fraction of a second six digits. Any
// thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/dfa.h"

namespace quern::grammar {

// kUnsupported by name for one that is not known.
Result<Dfa> format_dfa(std::string_view name);

}  // namespace quern::grammar
