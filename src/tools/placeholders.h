// Pattern: a text with placeholders, "--depth={depth}" or "/v1/{city}"; "{{" and "}}" stand for braces. Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::toolbox {

struct PatternPiece {
  bool is_argument = false;
  std::string text;  // the argument's name, or the text itself
};

struct Pattern {
  std::vector<PatternPiece> pieces;

  [[nodiscard]] bool has_arguments() const {
    for (const PatternPiece& piece : pieces) {
      if (piece.is_argument) return true;
    }
    return false;
  }
};

// [A-Za-z_][A-Za-z0-9_]*, at most 64 bytes.
bool is_argument_name(std::string_view name);

// kInvalidArgument: a brace that is not closed or not opened, or a placeholder that is no name.
Result<Pattern> parse_pattern(std::string_view text);

}  // namespace quern::toolbox
