// Grammar: what a generated text must look like. Set in GenerateOptions, it masks tokens that would break it, so the
// text matches by construction; when nothing more may follow, the text ends at once.
//
//   auto grammar = quern::Grammar::json_schema(R"({"type": "object", "properties": {"age": {"type": "integer"}}})");
//   engine->generate(prompt, {.grammar = *grammar});
//
// max_tokens holds too: when only as many tokens are left as the shortest end of the text takes, that end is written,
// and the reason is kMaxTokens all the same. Stretches that the grammar leaves no choice in are not sampled but read at
// once. Immutable; any thread; copies share what was compiled.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quern/result.h"

namespace quern {

namespace grammar {
struct Ir;
}

class Grammar {
 public:
  Grammar() = default;  // no grammar: any text

  // JSON Schema, draft 2020-12. kUnsupported names what cannot be held (docs/grammars.md lists what can),
  // kInvalidArgument what is wrong.
  static Result<Grammar> json_schema(std::string_view schema);
  static Result<Grammar> json_object();  // any JSON object
  // The whole text matches the pattern, ECMA-262's syntax.
  static Result<Grammar> regex(std::string_view pattern);
  // llama.cpp's grammar language.
  static Result<Grammar> gbnf(std::string_view source);

  [[nodiscard]] explicit operator bool() const { return ir_ != nullptr; }
  // What was read in another way than written: oneOf as anyOf.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  friend struct GrammarInternals;
  std::shared_ptr<const grammar::Ir> ir_;
  std::vector<std::string> warnings_;
};

}  // namespace quern
