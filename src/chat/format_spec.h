// One formatted value: Python's format specification, shared by % and {}.
#pragma once

#include <string>

#include "chat/runtime.h"

namespace quern::jinja {

struct FormatSpec {
  static constexpr int64_t kMaxWidth = 100'000;
  static constexpr int64_t kMaxPrecision = 1'000;

  std::string fill = " ";
  char align = 0;  // one of < > ^ =, 0 for the type's own
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
  char grouping = 0;
  char type = 0;
};

// False (and an error) when width or precision are beyond reason.
bool check_size(Runtime& rt, const FormatSpec& spec);
// "[[fill]align][sign][#][0][width][,][.precision][type]".
bool parse_spec(Runtime& rt, std::string_view text, FormatSpec& spec);

std::string pad(const FormatSpec& spec, std::string_view text, char default_align);
// Types d b o x X c n and none.
std::string format_int(Runtime& rt, const FormatSpec& spec, int64_t value);
// Types e E f F g G % and none (as repr).
std::string format_float(const FormatSpec& spec, double value);
// By the value's kind, as format(value, spec) does.
std::string format_value(Runtime& rt, const FormatSpec& spec, const Value& value);

}  // namespace quern::jinja
