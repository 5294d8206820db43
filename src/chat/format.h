// Python's three ways to write a value by a pattern: "%s" % v, "{}".format(v), and format specifications.
//
// Results are bounded by the Runtime's memory limit; widths and precisions beyond kMaxWidth are refused.
#pragma once

#include "chat/runtime.h"

namespace quern::jinja {

Value format_percent(Runtime& rt, const Value& pattern, const Value& args);
// A dict as the only argument of `named` stands for the keyword arguments.
Value format_braces(Runtime& rt, const Value& pattern, const Args& args);

}  // namespace quern::jinja
