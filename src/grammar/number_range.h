// Numbers of JSON within bounds, as the digits that a text may have. Any thread.
//
// Integers are those that 64 bits hold, without "-0" or a fraction; other numbers have at most 15 digits before the
// point and ten behind it (more where a bound has more), and within bounds no exponent. A validator compares doubles: a
// bound of more than 15 digits is drawn inwards to 15, so that a text that is within it here is within it there.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "grammar/ir.h"

namespace quern::grammar {

struct NumberRange {
  std::optional<std::string> least, most;  // as a JSON text writes numbers
  bool least_open = false, most_open = false;
};

// A range that holds nothing gives a symbol that matches nothing. kInvalidArgument: a bound is no number; kUnsupported:
// only numbers of more digits lie within, or a bound has more than 30 digits behind its point.
Result<Symbol> add_number_range(const NumberRange& range, bool integer, IrBuilder& to);

Symbol add_integer(IrBuilder& to);
Symbol add_number(IrBuilder& to);  // with an exponent of two digits, perhaps

}  // namespace quern::grammar
