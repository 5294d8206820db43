// The tests: what stands behind `is`.
#include <algorithm>

#include "chat/native.h"
#include "chat/operators.h"
#include "chat/text.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

template <bool (*Check)(const Value&)>
Value check(Runtime&, const Value& self, const Call&) {
  return Value::boolean(Check(self));
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.is(Kind::kBool);
}
bool is_true(const Value& v) {
  return v.is(Kind::kBool) && v.as_int();
}
bool is_false(const Value& v) {
  return v.is(Kind::kBool) && !v.as_int();
}
bool is_integer(const Value& v) {
  return v.is(Kind::kInt);
}
bool is_float(const Value& v) {
  return v.is(Kind::kFloat);
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_string(const Value& v) {
  return v.is_string();
}
bool is_mapping(const Value& v) {
  return v.is_dict();
}
bool is_sequence(const Value& v) {
  return is_sized(v) && !v.is(Kind::kView);
}
bool is_iterable(const Value& v) {
  return is_sized(v) || v.is(Kind::kIterator) || v.is(Kind::kLoop);
}
bool is_callable(const Value& v) {
  return v.is_undefined() || v.is(Kind::kFunction) || v.is(Kind::kMacro) || v.is(Kind::kLoop) || v.is(Kind::kJoiner);
}

template <CompareOp kOp>
Value compares(Runtime& rt, const Value& self, const Call& call) {
  return Value::boolean(compare(rt, kOp, self, call.arg(0)));
}

template <int kRest>
Value parity(Runtime& rt, const Value& self, const Call&) {
  const Value rest = binary(rt, BinaryOp::kMod, self, Value::integer(2));
  return Value::boolean(!rt.failed() && equal(rt, rest, Value::integer(kRest)));
}

Value divisible_by(Runtime& rt, const Value& self, const Call& call) {
  const Value rest = binary(rt, BinaryOp::kMod, self, call.arg(0));
  return Value::boolean(!rt.failed() && equal(rt, rest, Value::integer(0)));
}

// str(v).islower() and .isupper().
template <bool (*Wanted)(char32_t), bool (*Other)(char32_t)>
Value in_case(Runtime& rt, const Value& self, const Call&) {
  const std::string text = str_of(rt, self);
  bool any = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t cp = next_code_point(text, pos);
    if (Other(cp) || is_title(cp)) return Value::boolean(false);
    any = any || Wanted(cp);
  }
  return Value::boolean(any);
}

// Identity: small immutable values are their own.
Value same_as(Runtime&, const Value& self, const Call& call) {
  const Value& other = call.arg(0);
  if (self.kind() != other.kind()) return Value::boolean(false);
  switch (self.kind()) {
    case Kind::kNone:
    case Kind::kUndefined:
      return Value::boolean(true);
    case Kind::kBool:
    case Kind::kInt:
      return Value::boolean(self.as_int() == other.as_int());
    case Kind::kFloat:
      return Value::boolean(self.as_double() == other.as_double());
    case Kind::kString:
      return Value::boolean(self.text() == other.text());
    default:
      return Value::boolean(self.object() == other.object());
  }
}

Value escaped(Runtime&, const Value& self, const Call&) {
  return Value::boolean(is_markup(self));
}

Value names_filter(Runtime&, const Value& self, const Call&) {
  return Value::boolean(self.is_string() && find_filter(self.text()));
}

Value names_test(Runtime&, const Value& self, const Call&) {
  return Value::boolean(self.is_string() && find_test(self.text()));
}

constexpr Native kTests[] = {
    {"!=", "other", 1, compares<CompareOp::kNe>},
    {"<", "other", 1, compares<CompareOp::kLt>},
    {"<=", "other", 1, compares<CompareOp::kLe>},
    {"==", "other", 1, compares<CompareOp::kEq>},
    {">", "other", 1, compares<CompareOp::kGt>},
    {">=", "other", 1, compares<CompareOp::kGe>},
    {"boolean", "", 0, check<is_boolean>},
    {"callable", "", 0, check<is_callable>},
    {"defined", "", 0, check<is_defined>},
    {"divisibleby", "num", 1, divisible_by},
    {"eq", "other", 1, compares<CompareOp::kEq>},
    {"equalto", "other", 1, compares<CompareOp::kEq>},
    {"escaped", "", 0, escaped},
    {"even", "", 0, parity<0>},
    {"false", "", 0, check<is_false>},
    {"filter", "", 0, names_filter},
    {"float", "", 0, check<is_float>},
    {"ge", "other", 1, compares<CompareOp::kGe>},
    {"greaterthan", "other", 1, compares<CompareOp::kGt>},
    {"gt", "other", 1, compares<CompareOp::kGt>},
    {"in", "seq", 1, compares<CompareOp::kIn>},
    {"integer", "", 0, check<is_integer>},
    {"iterable", "", 0, check<is_iterable>},
    {"le", "other", 1, compares<CompareOp::kLe>},
    {"lessthan", "other", 1, compares<CompareOp::kLt>},
    {"lower", "", 0, in_case<is_lower, is_upper>},
    {"lt", "other", 1, compares<CompareOp::kLt>},
    {"mapping", "", 0, check<is_mapping>},
    {"ne", "other", 1, compares<CompareOp::kNe>},
    {"none", "", 0, check<is_none>},
    {"number", "", 0, check<is_number>},
    {"odd", "", 0, parity<1>},
    {"sameas", "other", 1, same_as},
    {"sequence", "", 0, check<is_sequence>},
    {"string", "", 0, check<is_string>},
    {"test", "", 0, names_test},
    {"true", "", 0, check<is_true>},
    {"undefined", "", 0, check<is_undefined>},
    {"upper", "", 0, in_case<is_upper, is_lower>},
};

}  // namespace

const Native* find_test(std::string_view name) {
  const auto* row = std::find_if(std::begin(kTests), std::end(kTests), [&](const Native& n) { return n.name == name; });
  return row == std::end(kTests) ? nullptr : row;
}

}  // namespace quern::jinja
