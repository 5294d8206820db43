// The grammars of one tool's arguments in each way of writing them. kUnsupported names what cannot be held; nothing
// that a schema asks is left out. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/tools/family.h"
#include "chat/tools/tool_set.h"
#include "grammar/ir.h"

namespace quern::tools {

struct ArgumentGrammar {
  grammar::Symbol root;
  std::vector<std::string> warnings = {};
};

// Text in which special tokens stand by themselves.
grammar::Symbol marked_text(std::string_view text, std::span<const std::string_view> specials, grammar::IrBuilder& to);
// Any text that `end` is not part of.
grammar::Symbol text_without(std::string_view end, grammar::IrBuilder& to);

// What `part` stands for: kJson, kObject and kArray (a JSON object), kParameters, kBareLiteral, kPython (what stands
// between the parentheses).
Result<ArgumentGrammar> argument_grammar(const Family& family, Part part, const Tool& tool, grammar::IrBuilder& to);
// The same for a tool whose schema is not held: any arguments.
grammar::Symbol any_arguments(const Family& family, Part part, grammar::IrBuilder& to);

}  // namespace quern::tools
