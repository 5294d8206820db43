// Filters that give numbers, or take them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "chat/literals.h"
#include "chat/native.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

Value absolute(Runtime& rt, const Value& self, const Call&) {
  if (self.is_integral()) return self.as_int() < 0 ? negate(rt, self) : positive(rt, self);
  if (self.is(Kind::kFloat)) return Value::real(std::fabs(self.as_double()));
  return rt.raise("TypeError", fmt::format("bad operand type for abs(): '{}'", type_name(self)));
}

// int(double) as Python has it; false when the number has no int64.
bool whole_part(double d, int64_t& out) {
  if (!(std::fabs(d) < 9223372036854775808.0)) return false;
  out = static_cast<int64_t>(d);
  return true;
}

Value integer(Runtime& rt, const Value& self, const Call& call) {
  const Value fallback = call.has(0) ? call.arg(0) : Value::integer(0);
  const int64_t base = call.integer(rt, 1, 10);
  int64_t n = 0;
  if (self.is_undefined()) return rt.raise_undefined(self);
  if (self.is_integral()) return Value::integer(self.as_int());
  double d = 0;
  if (self.is(Kind::kFloat)) {
    d = self.as_double();
    if (std::isinf(d)) return rt.raise("OverflowError", "cannot convert float infinity to integer");
  } else if (self.is_string()) {
    if (const auto parsed = parse_int(self.text(), base)) {
      return parsed->overflow ? rt.raise("OverflowError", "the integer does not fit 64 bits")
                              : Value::integer(parsed->value);
    }
    const auto real = parse_float(self.text());
    if (!real || std::isinf(*real)) return fallback;
    d = *real;
  } else {
    return fallback;
  }
  if (std::isnan(d)) return fallback;
  return whole_part(d, n) ? Value::integer(n) : rt.raise("OverflowError", "the integer does not fit 64 bits");
}

Value real(Runtime& rt, const Value& self, const Call& call) {
  const Value fallback = call.has(0) ? call.arg(0) : Value::real(0);
  if (self.is_undefined()) return rt.raise_undefined(self);
  if (self.is_number()) return Value::real(self.as_double());
  if (!self.is_string()) return fallback;
  const auto parsed = parse_float(self.text());
  return parsed ? Value::real(*parsed) : fallback;
}

// round(d, digits): the decimal text nearest to the exact value, ties to even, read back.
double round_decimal(double d, int64_t digits) {
  if (!std::isfinite(d) || digits > 330) return d;
  if (digits < -308) return std::copysign(0.0, d);
  if (digits >= 0) {
    char text[700];
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(digits), d);
    return std::strtod(text, nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(d / unit) * unit;
}

Value round_int(Runtime& rt, int64_t n, int64_t digits) {
  if (digits >= 0) return Value::integer(n);
  if (digits < -18) return Value::integer(0);
  int64_t unit = 1;
  for (int64_t i = 0; i < -digits; ++i) unit *= 10;
  const int64_t rest = ((n % unit) + unit) % unit;
  const int64_t half = unit / 2;
  int64_t floor = 0;
  if (__builtin_sub_overflow(n, rest, &floor)) return rt.raise("OverflowError", "the integer does not fit 64 bits");
  const bool up = rest > half || (rest == half && (floor / unit) % 2 != 0);
  if (up && __builtin_add_overflow(floor, unit, &floor)) {
    return rt.raise("OverflowError", "the integer does not fit 64 bits");
  }
  return Value::integer(floor);
}

Value round_filter(Runtime& rt, const Value& self, const Call& call) {
  const int64_t digits = call.integer(rt, 0, 0);
  const std::string_view method = call.text(rt, 1, "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    return rt.raise("FilterArgumentError", "method must be common, ceil or floor");
  }
  if (!self.is_number()) {
    return rt.raise("TypeError", fmt::format("type {} doesn't define __round__ method", type_name(self)));
  }
  if (method == "common") {
    return self.is_integral() ? round_int(rt, self.as_int(), digits)
                              : Value::real(round_decimal(self.as_double(), digits));
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.as_double() * unit;
  if (!std::isfinite(scaled)) return rt.raise("OverflowError", "cannot convert float infinity to integer");
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Value file_size(Runtime& rt, const Value& self, const Call& call) {
  double bytes = 0;
  if (self.is_number()) {
    bytes = self.as_double();
  } else if (const auto parsed = self.is_string() ? parse_float(self.text()) : std::nullopt) {
    bytes = *parsed;
  } else {
    return rt.raise("ValueError", "could not convert the value to float");
  }
  const bool is_binary = call.truth(rt, 0);
  const double base = is_binary ? 1024 : 1000;
  if (bytes == 1) return rt.string("1 Byte");
  if (!std::isfinite(bytes)) return rt.raise("OverflowError", "cannot convert float infinity to integer");
  if (bytes < base) return rt.string(fmt::format("{} Bytes", std::trunc(bytes)));
  double unit = base * base;
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  size_t i = 0;
  for (; i + 1 < kPrefixes.size() && bytes >= unit; ++i) unit *= base;
  const char prefix = is_binary && i == 0 ? 'K' : kPrefixes[i];
  return rt.string(fmt::format("{:.1f} {}{}", base * bytes / unit, prefix, is_binary ? "iB" : "B"));
}

constexpr Native kFilters[] = {
    {"abs", "", 0, absolute},
    {"filesizeformat", "binary", 0, file_size},
    {"float", "default", 0, real},
    {"int", "default base", 0, integer},
    {"round", "precision method", 0, round_filter},
};

}  // namespace

std::span<const Native> number_filters() {
  return kFilters;
}

}  // namespace quern::jinja
