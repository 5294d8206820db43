// The parser of regular expressions: a pattern becomes a tree. See regex.h for what is read and what is refused.
//
// Beyond ECMA-262's flag u, as its annex B and all other dialects: a lone ']', '}' or '{' is itself, any ASCII sign
// that is no letter or digit may be escaped, and '-' beside \d in a class is itself. Recursion is bounded by kMaxDepth.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/code_points.h"

namespace quern::grammar {

struct RegexNode {
  enum class Kind : uint8_t { kSet, kBegin, kEnd, kSequence, kChoice, kRepeat };
  Kind kind = Kind::kSequence;
  uint32_t set = 0;                  // kSet: of RegexTree::sets
  uint32_t least = 0, most = 0;      // kRepeat; most may be kUnbounded
  std::vector<uint32_t> parts = {};  // kSequence, kChoice; kRepeat: one
  static constexpr uint32_t kUnbounded = 0xFFFFFFFF;
};

struct RegexTree {
  std::vector<RegexNode> nodes;
  uint32_t root = 0;
  std::vector<CodePoints> sets;  // all different
};

inline constexpr size_t kMaxPatternBytes = 1 << 15;

Result<RegexTree> parse_regex(std::string_view pattern);

}  // namespace quern::grammar
