// Numbers by multipleOf.
#pragma once

#include <vector>

#include "base/result.h"
#include "grammar/ir.h"
#include "grammar/number_range.h"
#include "grammar/schema/decimal.h"

namespace quern::grammar::schema {

// Numbers (where `integer`, integers) within the range that are multiples of each of the units (at least one, each more
// than 0). What it can write: a range with two ends and few numbers in it; with no end, or one at 0, multiples of one
// integer up to 100 or of one of 0.1, 0.01, .... Everything else is kUnsupported.
Result<Symbol> add_multiples(const std::vector<Decimal>& units, const NumberRange& range, bool integer, IrBuilder& to);

}  // namespace quern::grammar::schema
