// The arithmetic operators: int64 with overflow as an error, double, text and sequences.
#include <cmath>

#include "chat/format.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

Value overflow(Runtime& rt) {
  return rt.raise("OverflowError", "the integer does not fit 64 bits");
}

Value mismatch(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  return rt.raise("TypeError", fmt::format("unsupported operand type(s) for {}: '{}' and '{}'",
                                           kSymbols[static_cast<size_t>(op)], type_name(a), type_name(b)));
}

Value divide_ints(Runtime& rt, BinaryOp op, int64_t a, int64_t b) {
  if (b == 0) return rt.raise("ZeroDivisionError", "division by zero");
  if (op == BinaryOp::kDiv) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {
    if (op == BinaryOp::kMod) return Value::integer(0);
    return a == INT64_MIN ? overflow(rt) : Value::integer(-a);
  }
  const int64_t remainder = a % b;
  const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);  // Python rounds towards minus infinity
  if (op == BinaryOp::kMod) return Value::integer(adjust ? remainder + b : remainder);
  return Value::integer(adjust ? a / b - 1 : a / b);
}

Value power_ints(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return rt.raise("ZeroDivisionError", "0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return overflow(rt);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow(rt);
  }
  return Value::integer(result);
}

Value int_op(Runtime& rt, BinaryOp op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case BinaryOp::kAdd:
      return __builtin_add_overflow(a, b, &r) ? overflow(rt) : Value::integer(r);
    case BinaryOp::kSub:
      return __builtin_sub_overflow(a, b, &r) ? overflow(rt) : Value::integer(r);
    case BinaryOp::kMul:
      return __builtin_mul_overflow(a, b, &r) ? overflow(rt) : Value::integer(r);
    case BinaryOp::kPow:
      return power_ints(rt, a, b);
    default:
      return divide_ints(rt, op, a, b);
  }
}

// CPython's float_divmod.
Value floor_doubles(BinaryOp op, double a, double b) {
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) {
      mod += b;
      div -= 1;
    }
  } else {
    mod = std::copysign(0.0, b);
  }
  if (op == BinaryOp::kMod) return Value::real(mod);
  if (div == 0) return Value::real(std::copysign(0.0, a / b));
  const double floored = std::floor(div);
  return Value::real(div - floored > 0.5 ? floored + 1 : floored);
}

Value float_op(Runtime& rt, BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value::real(a + b);
    case BinaryOp::kSub:
      return Value::real(a - b);
    case BinaryOp::kMul:
      return Value::real(a * b);
    case BinaryOp::kPow: {
      if (a == 0 && b < 0) return rt.raise("ZeroDivisionError", "0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
        return rt.raise("TypeError", "complex numbers are not supported");
      }
      const double r = std::pow(a, b);
      if (std::isinf(r) && std::isfinite(a) && std::isfinite(b)) return rt.raise("OverflowError", "Result too large");
      return Value::real(r);
    }
    default:
      break;
  }
  if (b == 0) return rt.raise("ZeroDivisionError", op == BinaryOp::kDiv ? "float division by zero" : "float modulo");
  return op == BinaryOp::kDiv ? Value::real(a / b) : floor_doubles(op, a, b);
}

Value add_text(Runtime& rt, const Value& a, const Value& b) {
  if (is_markup(a) || is_markup(b)) return rt.string(markup_of(rt, a) + markup_of(rt, b), true);
  if (!rt.fits(a.text().size() + b.text().size())) return {};
  std::string sum;
  sum.reserve(a.text().size() + b.text().size());
  sum.append(a.text()).append(b.text());
  return rt.string(std::move(sum));
}

Value repeat(Runtime& rt, const Value& what, int64_t times) {
  const auto n = static_cast<size_t>(times < 0 ? 0 : times);
  const size_t unit = what.is_string() ? what.text().size() : what.seq().size() * sizeof(Value);
  size_t bytes = 0;
  if (__builtin_mul_overflow(unit, n, &bytes)) return rt.refuse("max_memory_bytes");
  if (!rt.fits(bytes)) return {};
  if (what.is_string()) {
    std::string text;
    text.reserve(bytes);
    for (size_t i = 0; unit > 0 && i < n; ++i) text += what.text();
    return rt.string(std::move(text), is_markup(what));
  }
  std::vector<Value> items;
  for (size_t i = 0; unit > 0 && i < n; ++i) items.insert(items.end(), what.seq().begin(), what.seq().end());
  return rt.sequence(what.kind(), std::move(items));
}

bool repeats(const Value& v) {
  return v.is_string() || v.is(Kind::kList) || v.is(Kind::kTuple);
}

}  // namespace

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  if (!rt.step()) return {};
  if (op == BinaryOp::kMod && a.is_string()) return format_percent(rt, a, b);
  if (a.is_undefined()) return rt.raise_undefined(a);
  if (b.is_undefined()) return rt.raise_undefined(b);
  if (a.is_integral() && b.is_integral()) return int_op(rt, op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_op(rt, op, a.as_double(), b.as_double());
  if (op == BinaryOp::kAdd) {
    if ((a.is_string() && b.is_string()) || is_markup(a)) return add_text(rt, a, b);
    if (a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
      if (!rt.fits((a.seq().size() + b.seq().size()) * sizeof(Value))) return {};
      std::vector<Value> sum = a.seq();
      sum.insert(sum.end(), b.seq().begin(), b.seq().end());
      return rt.sequence(a.kind(), std::move(sum));
    }
    if (repeats(a)) {
      return rt.raise("TypeError",
                      fmt::format("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b)));
    }
  }
  if (op == BinaryOp::kMul && repeats(a) && b.is_integral()) return repeat(rt, a, b.as_int());
  if (op == BinaryOp::kMul && repeats(b) && a.is_integral()) return repeat(rt, b, a.as_int());
  return mismatch(rt, op, a, b);
}

Value negate(Runtime& rt, const Value& v) {
  if (v.is_undefined()) return rt.raise_undefined(v);
  if (v.is(Kind::kFloat)) return Value::real(-v.as_double());
  if (v.is_integral()) return v.as_int() == INT64_MIN ? overflow(rt) : Value::integer(-v.as_int());
  return rt.raise("TypeError", fmt::format("bad operand type for unary -: '{}'", type_name(v)));
}

Value positive(Runtime& rt, const Value& v) {
  if (v.is_undefined()) return rt.raise_undefined(v);
  if (v.is_integral()) return Value::integer(v.as_int());
  if (v.is_number()) return v;
  return rt.raise("TypeError", fmt::format("bad operand type for unary +: '{}'", type_name(v)));
}

}  // namespace quern::jinja
