// tool_grammar: what a model's calls must look like, as a grammar: names are those of the tools, arguments hold the
// tools' schemas, markers are the family's. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/tools/tool_format.h"
#include "chat/tools/tool_set.h"
#include "quern/grammar.h"

namespace quern::tools {

struct ToolChoice {
  bool required = false;        // the reply is a call; false: the grammar begins where a call does
  std::string name;             // only this tool; empty: any
  bool parallel = true;         // one call or more; false: exactly one
  bool reasoning_open = false;  // the prompt ended within the reasoning: with `required`, it may be ended first
};

struct ToolGrammar {
  Grammar grammar;
  // Texts at which the grammar begins, with their first byte; none: with the reply's first.
  std::vector<std::string> triggers;
  std::vector<std::string> warnings;
};

// A schema that the grammar cannot hold: of a strict tool, kUnsupported with its name; of another one its arguments may
// be any object, with a warning. kNotFound: no tool has the name; kInvalidArgument: no tools.
Result<ToolGrammar> tool_grammar(const ToolFormat& format, const ToolSet& tools, const ToolChoice& choice);

}  // namespace quern::tools
