// Numbers by multipleOf.
#pragma once

#include <vector>

#include "base/result.h"
#include "grammar/ir.h"
#include "grammar/number_range.h"
#include "grammar/schema/decimal.h"

namespace quern::grammar::schema {

// Numbers (where `integer`, integers) within the range that are multiples of each of the units (at least one, each more
// than 0). What it can write: a range with two ends and few numbers in it; otherwise multiples of one integer up to 100
// (of at most twelve digits), or of one of 0.1, 0.01, ... where the one end is 0. Everything else is kUnsupported.
Result<Symbol> add_multiples(const std::vector<Decimal>& units, const NumberRange& range, bool integer, IrBuilder& to);

}  // namespace quern::grammar::schema
