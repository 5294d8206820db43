// Lengths, attributes, items and slices.
#include <algorithm>

#include "chat/native.h"
#include "chat/operators.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

// What ImmutableSandboxedEnvironment hides because it would change the object.
bool is_mutator(const Value& v, std::string_view name) {
  constexpr std::string_view kList[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (v.is(Kind::kList)) return std::find(std::begin(kList), std::end(kList), name) != std::end(kList);
  if (v.is_dict()) return std::find(std::begin(kDict), std::end(kDict), name) != std::end(kDict);
  return false;
}

Value unsafe(Runtime& rt, const Value& v, std::string_view name) {
  return rt.undefined(fmt::format("access to attribute {} of '{}' object is unsafe.", repr_of_text(name), type_name(v)),
                      true);
}

Value missing_item(Runtime& rt, const Value& v, const Value& key) {
  const std::string subject = v.is_none() ? "None" : fmt::format("{} object", type_name(v));
  if (key.is_string()) {
    return rt.undefined(fmt::format("'{}' has no attribute {}", subject, repr_of_text(key.text())));
  }
  return rt.undefined(fmt::format("{} has no element {}", subject, repr_of(rt, key)));
}

// getattr(v, name): whether there is such an attribute, and its value as the sandbox shows it.
bool find_attribute(Runtime& rt, const Value& v, std::string_view name, Value& out) {
  if (is_mutator(v, name)) {
    out = unsafe(rt, v, name);
    return true;
  }
  if (v.is(Kind::kNamespace)) {
    const Value* field = v.as<NamespaceObject>().find(name);
    if (field) out = name.starts_with('_') ? unsafe(rt, v, name) : *field;
    return field != nullptr;
  }
  if (v.is(Kind::kCycler) && name == "current") {
    out = v.as<CyclerObject>().items[v.as<CyclerObject>().position];
    return true;
  }
  if (v.is(Kind::kTuple) && v.as<SequenceObject>().group && (name == "grouper" || name == "list")) {
    out = v.seq()[name == "list" ? 1 : 0];
    return true;
  }
  if (v.is(Kind::kRange) && (name == "start" || name == "stop" || name == "step")) {
    const RangeObject& r = v.range();
    out = Value::integer(name == "start" ? r.start : name == "stop" ? r.stop : r.step);
    return true;
  }
  if (const Native* method = find_method(v, name)) {
    out = rt.function(method, v);
    return true;
  }
  return false;
}

// v[key] without the fall-back to attributes; false where Python raises a LookupError or a TypeError.
bool find_item(Runtime& rt, const Value& v, const Value& key, Value& out) {
  if (v.is_dict()) {
    const Value* found = v.dict().find(rt, key);
    if (found) out = *found;
    return found != nullptr;
  }
  if (!key.is_integral() || !is_sized(v) || v.is(Kind::kView)) return false;
  const int64_t n = length_of(rt, v);
  const int64_t i = key.as_int() < 0 ? key.as_int() + n : key.as_int();
  if (i < 0 || i >= n) return false;
  if (v.is_string()) {
    const auto at = static_cast<size_t>(i);
    out = rt.string(std::string(code_points(v.string(), at, at + 1)), v.string().markup);
  } else if (v.is(Kind::kRange)) {
    out = Value::integer(v.range().at(i));
  } else {
    out = v.seq()[static_cast<size_t>(i)];
  }
  return rt.step(v.is_string() && !v.string().ascii() ? v.text().size() / 64 : 0);
}

// The bounds of a slice as CPython's PySlice_AdjustIndices has them.
struct SliceBounds {
  int64_t start, step, count;
};

bool slice_part(Runtime& rt, const Value& part, int64_t& out) {
  if (part.is_none()) return true;
  if (!part.is_integral()) {
    rt.raise("TypeError", "slice indices must be integers or None or have an __index__ method");
    return false;
  }
  out = part.as_int();
  return true;
}

bool slice_bounds(Runtime& rt, const Value& begin, const Value& end, const Value& stride, int64_t n, SliceBounds& b) {
  int64_t step = 1;
  if (!slice_part(rt, stride, step)) return false;
  if (step == 0) {
    rt.raise("ValueError", "slice step cannot be zero");
    return false;
  }
  step = std::max(step, -INT64_MAX);
  const int64_t low = step < 0 ? -1 : 0;
  const int64_t high = step < 0 ? n - 1 : n;
  int64_t start = step < 0 ? high : low;
  int64_t stop = step < 0 ? low : high;
  if (!slice_part(rt, begin, start) || !slice_part(rt, end, stop)) return false;
  if (!begin.is_none()) start = std::clamp(start < 0 ? start + n : start, low, high);
  if (!end.is_none()) stop = std::clamp(stop < 0 ? stop + n : stop, low, high);
  b.start = start;
  b.step = step;
  if (step > 0) {
    b.count = start < stop ? (stop - start - 1) / step + 1 : 0;
  } else {
    b.count = stop < start ? (start - stop - 1) / -step + 1 : 0;
  }
  return true;
}

Value slice_text(Runtime& rt, const StringObject& s, const SliceBounds& b) {
  if (!rt.step(s.text.size() / 64)) return {};
  const auto start = static_cast<size_t>(std::max<int64_t>(b.start, 0));
  if (b.step == 1) {
    return rt.string(std::string(code_points(s, start, start + static_cast<size_t>(b.count))), s.markup);
  }
  std::vector<std::string_view> letters;
  for (size_t pos = 0; pos < s.text.size();) {
    const size_t from = pos;
    next_code_point(s.text, pos);
    letters.push_back(std::string_view(s.text).substr(from, pos - from));
  }
  std::string out;
  for (int64_t i = 0; i < b.count; ++i) out += letters[static_cast<size_t>(b.start + i * b.step)];
  return rt.string(std::move(out), s.markup);
}

}  // namespace

bool is_sized(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kDict:
    case Kind::kRange:
      return true;
    default:
      return false;
  }
}

int64_t length_of(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(v.string().length);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return static_cast<int64_t>(v.seq().size());
    case Kind::kDict:
      return static_cast<int64_t>(v.dict().entries.size());
    case Kind::kRange:
      return v.range().size();
    default:
      rt.raise("TypeError", fmt::format("object of type '{}' has no len()", type_name(v)));
      return 0;
  }
}

Value get_attribute(Runtime& rt, const Value& v, std::string_view name) {
  if (v.is_undefined()) return rt.raise_undefined(v);
  Value out;
  if (find_attribute(rt, v, name, out)) return out;
  if (v.is_dict()) {
    if (const Value* found = v.dict().find(name)) return *found;
  }
  return missing_item(rt, v, rt.string(std::string(name)));
}

Value get_item(Runtime& rt, const Value& v, const Value& key) {
  if (v.is_undefined()) return rt.raise_undefined(v);
  Value out;
  if (find_item(rt, v, key, out)) return out;
  if (rt.failed()) return {};
  if (key.is_string() && find_attribute(rt, v, key.text(), out)) return out;
  return missing_item(rt, v, key);
}

Value get_slice(Runtime& rt, const Value& v, const Value& begin, const Value& end, const Value& step) {
  if (v.is_undefined()) return rt.raise_undefined(v);
  if (!v.is_string() && !v.is(Kind::kList) && !v.is(Kind::kTuple) && !v.is(Kind::kRange)) {
    return rt.raise("TypeError", v.is_dict() ? "unhashable type: 'slice'"
                                             : fmt::format("'{}' object is not subscriptable", type_name(v)));
  }
  SliceBounds b{};
  if (!slice_bounds(rt, begin, end, step, length_of(rt, v), b)) return {};
  if (v.is_string()) return slice_text(rt, v.string(), b);
  if (v.is(Kind::kRange)) {
    const RangeObject& r = v.range();
    int64_t stride = 0;
    if (b.count == 0) return {Kind::kRange, rt.heap().make<RangeObject>(0, r.start, r.start, int64_t{1})};
    if (__builtin_mul_overflow(r.step, b.step, &stride)) {
      if (b.count > 1) return rt.raise("OverflowError", "the range's step does not fit 64 bits");
      stride = 1;
    }
    const int64_t last = r.at(b.start + (b.count - 1) * b.step);
    const int64_t first = r.at(b.start);
    int64_t stop = 0;
    if (__builtin_add_overflow(last, stride, &stop)) stop = stride > 0 ? last + 1 : last - 1;
    return {Kind::kRange, rt.heap().make<RangeObject>(0, first, stop, stride)};
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(b.count));
  for (int64_t i = 0; i < b.count; ++i) items.push_back(v.seq()[static_cast<size_t>(b.start + i * b.step)]);
  return rt.sequence(v.kind(), std::move(items));
}

std::string_view code_points(const StringObject& s, size_t begin, size_t end) {
  const std::string_view text = s.text;
  end = std::min(end, s.length);
  if (begin >= end) return {};
  if (s.ascii()) return text.substr(begin, end - begin);
  const size_t from = offset_of(text, begin);
  return text.substr(from, offset_of(text.substr(from), end - begin));
}

}  // namespace quern::jinja
