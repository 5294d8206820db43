// The builtin calculator: one expression in doubles to its value.
//
//   expression  term {("+" | "-") term}
//   term        sign {("*" | "/" | "%") sign}
//   sign        {"+" | "-"} power                    so that -2^2 is -4
//   power       atom [("^" | "**") sign]             from the right: 2^3^2 is 2^9
//   atom        number | "pi" | "e" | function "(" expression {"," expression} ")" | "(" expression ")"
//
// Functions: sqrt abs min max floor ceil round sin cos ln exp; angles in radians, round takes halves away from zero. %
// has the sign of its right side, as in Python. Bounded: kMaxExpressionBytes, kMaxExpressionDepth. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern::toolbox {

inline constexpr size_t kMaxExpressionBytes = 1000;
inline constexpr size_t kMaxExpressionDepth = 50;

// Always finite. kInvalidArgument says what is wrong and at which character, counted from 1.
Result<double> calculate(std::string_view expression);

// 15 significant digits; whole numbers below 2^53 with all of theirs.
std::string number_text(double value);

}  // namespace quern::toolbox
