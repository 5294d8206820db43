// The lexer: template text to tokens, with Jinja2's whitespace rules applied (trim_blocks and lstrip_blocks on, one
// final newline dropped, as chat templates are rendered everywhere).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::jinja {

enum class Tok : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // the text says which
  kEnd,
};

struct Token {
  Tok type = Tok::kEnd;
  uint32_t line = 1;
  std::string text;  // the name, the operator, the text or the string's value
  int64_t integer = 0;
  double real = 0;
};

// All tokens, kEnd last. `source` is valid UTF-8. The error names the line.
Result<std::vector<Token>> tokenize(std::string_view source);

tl::unexpected<Error> syntax_error(uint32_t line, std::string_view message);

}  // namespace quern::jinja
