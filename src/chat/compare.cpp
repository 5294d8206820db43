// Truth, equality, order, membership and hashes.
#include <algorithm>
#include <cmath>
#include <functional>

#include "chat/native.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

bool equal_sequences(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(rt, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& rt, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(rt, key);
    if (!other || !equal(rt, value, *other)) return false;
  }
  return true;
}

bool equal_ranges(const RangeObject& a, const RangeObject& b) {
  const int64_t n = a.size();
  if (n != b.size()) return false;
  return n == 0 || (a.start == b.start && (n == 1 || a.step == b.step));
}

// long double holds every int64_t and every double on the processors we build for.
long double wide(const Value& v) {
  return v.is(Kind::kFloat) ? static_cast<long double>(v.as_double()) : static_cast<long double>(v.as_int());
}

bool unordered(Runtime& rt, const Value& a, const Value& b) {
  if (a.is_undefined()) {
    rt.raise_undefined(a);
  } else if (b.is_undefined()) {
    rt.raise_undefined(b);
  } else {
    rt.raise("TypeError",
             fmt::format("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b)));
  }
  return false;
}

// The first difference decides, as for Python's sequences; a proper prefix is less.
bool less_sequences(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (!equal(rt, a[i], b[i])) return less(rt, a[i], b[i]);
    if (rt.failed()) return false;
  }
  return a.size() < b.size();
}

bool contains_text(Runtime& rt, const Value& container, const Value& item) {
  if (item.is_string()) {
    return rt.step(container.text().size() / 64) && container.text().find(item.text()) != std::string_view::npos;
  }
  rt.raise("TypeError", fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
  return false;
}

}  // namespace

bool truth(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.as_int() != 0;
    case Kind::kFloat:
      return v.as_double() != 0;
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kDict:
    case Kind::kRange:
      return length_of(rt, v) != 0;
    default:
      return true;
  }
}

bool equal(Runtime& rt, const Value& a, const Value& b) {
  Runtime::Depth depth(rt);
  if (!depth || !rt.step()) return false;
  if (a.is_number() && b.is_number()) return wide(a) == wide(b);
  if (a.kind() != b.kind()) return false;
  const bool container = a.is_seq() || a.is_dict();
  if (container && a.object() == b.object()) return true;  // as CPython, whatever it holds
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return rt.step(a.text().size() / 64) && a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_sequences(rt, a.seq(), b.seq());
    case Kind::kDict:
      return equal_dicts(rt, a.dict(), b.dict());
    case Kind::kRange:
      return equal_ranges(a.range(), b.range());
    case Kind::kFunction: {
      const auto& f = a.as<FunctionObject>();
      const auto& g = b.as<FunctionObject>();
      return f.native == g.native && equal(rt, f.self, g.self);
    }
    default:
      return a.object() == b.object();
  }
}

bool less(Runtime& rt, const Value& a, const Value& b) {
  Runtime::Depth depth(rt);
  if (!depth || !rt.step()) return false;
  if (a.is_number() && b.is_number()) return wide(a) < wide(b);
  if (a.kind() != b.kind()) return unordered(rt, a, b);
  // UTF-8 sorts by bytes as by code points.
  if (a.is_string()) return rt.step(a.text().size() / 64) && a.text() < b.text();
  if (a.is(Kind::kList) || a.is(Kind::kTuple)) return less_sequences(rt, a.seq(), b.seq());
  return unordered(rt, a, b);
}

bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEq:
      return equal(rt, a, b);
    case CompareOp::kNe:
      return !equal(rt, a, b);
    case CompareOp::kLt:
      return less(rt, a, b);
    case CompareOp::kGt:
      return less(rt, b, a);
    case CompareOp::kLe:  // not "b < a not": NaN
      if (a.is_number() && b.is_number()) return wide(a) <= wide(b);
      return !less(rt, b, a);
    case CompareOp::kGe:
      if (a.is_number() && b.is_number()) return wide(a) >= wide(b);
      return !less(rt, a, b);
    case CompareOp::kIn:
      return contains(rt, b, a);
    case CompareOp::kNotIn:
      return !contains(rt, b, a);
  }
  return false;
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      return contains_text(rt, container, item);
    case Kind::kDict: {
      size_t hash = 0;
      if (!hash_of(rt, item, hash)) {
        rt.raise("TypeError", fmt::format("unhashable type: '{}'", type_name(item)));
        return false;
      }
      return container.dict().find(rt, item) != nullptr;
    }
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kNamespace:
    case Kind::kFunction:
    case Kind::kMacro:
    case Kind::kLoop:
    case Kind::kCycler:
    case Kind::kJoiner:
      rt.raise("TypeError", fmt::format("argument of type '{}' is not iterable", type_name(container)));
      return false;
    default: {
      Iteration it;
      if (!it.begin(rt, container)) return false;
      for (Value v; it.next(rt, v);) {
        if (equal(rt, v, item)) return true;
      }
      return false;
    }
  }
}

bool hash_of(Runtime& rt, const Value& v, size_t& hash) {
  Runtime::Depth depth(rt);
  if (!depth || !rt.step()) return false;
  switch (v.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      return false;
    case Kind::kString:
      hash = std::hash<std::string_view>()(v.text());
      return rt.step(v.text().size() / 64);
    case Kind::kTuple: {
      size_t all = 0x9E3779B9;
      for (const Value& item : v.seq()) {
        size_t h = 0;
        if (!hash_of(rt, item, h)) return false;
        all = (all ^ h) * 0x100000001B3;
      }
      hash = all;
      return true;
    }
    case Kind::kBool:
    case Kind::kInt:
      hash = std::hash<double>()(static_cast<double>(v.as_int()));
      return true;
    case Kind::kFloat:
      hash = std::hash<double>()(v.as_double());
      return true;
    case Kind::kUndefined:
    case Kind::kNone:
      hash = static_cast<size_t>(v.kind());
      return true;
    case Kind::kRange:
      hash = static_cast<size_t>(v.range().size());
      return true;
    case Kind::kFunction:
      hash = std::hash<const void*>()(v.as<FunctionObject>().native);
      return true;
    default:
      hash = std::hash<const void*>()(v.object());
      return true;
  }
}

}  // namespace quern::jinja
