// Methods of dicts, lists, tuples, ranges, numbers and cyclers. What would change an object is not here: the sandbox
// hides it (subscript.cpp).
#include <algorithm>
#include <cmath>

#include "chat/native.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

Value dict_get(Runtime& rt, const Value& self, const Call& call) {
  size_t hash = 0;
  if (!hash_of(rt, call.arg(0), hash)) {
    return rt.raise("TypeError", fmt::format("unhashable type: '{}'", type_name(call.arg(0))));
  }
  const Value* found = self.dict().find(rt, call.arg(0));
  return found ? *found : call.has(1) ? call.arg(1) : Value::none();
}

enum class View : uint8_t { kKeys, kValues, kItems };

template <View kWhat>
Value dict_view(Runtime& rt, const Value& self, const Call&) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries) {
    if (!rt.step()) return {};
    items.push_back(kWhat == View::kKeys ? key : kWhat == View::kValues ? value : rt.tuple({key, value}));
  }
  const Value view = rt.sequence(Kind::kView, std::move(items));
  if (rt.failed()) return {};
  view.as<SequenceObject>().label = kWhat == View::kKeys     ? "dict_keys"
                                    : kWhat == View::kValues ? "dict_values"
                                                             : "dict_items";
  return view;
}

Value copy(Runtime& rt, const Value& self, const Call&) {
  if (!self.is_dict()) return rt.list(self.seq());
  DictObject* dict = rt.dict();
  for (const auto& [key, value] : self.dict().entries) dict->set(rt, key, value);
  return {Kind::kDict, dict};
}

Value count(Runtime& rt, const Value& self, const Call& call) {
  int64_t n = 0;
  Iteration it;
  if (!it.begin(rt, self)) return {};
  for (Value v; it.next(rt, v);) n += equal(rt, v, call.arg(0));
  return Value::integer(n);
}

Value index(Runtime& rt, const Value& self, const Call& call) {
  const int64_t n = length_of(rt, self);
  int64_t begin = call.integer(rt, 1, 0);
  int64_t end = call.integer(rt, 2, n);
  if (begin < 0) begin = std::max<int64_t>(begin + n, 0);
  if (end < 0) end = std::max<int64_t>(end + n, 0);
  Iteration it;
  if (!it.begin(rt, self)) return {};
  int64_t i = 0;
  for (Value v; i < end && it.next(rt, v); ++i) {
    if (i >= begin && equal(rt, v, call.arg(0))) return Value::integer(i);
  }
  return rt.raise("ValueError", fmt::format("the value is not in {}", type_name(self)));
}

Value cycler_next(Runtime&, const Value& self, const Call&) {
  auto& cycler = self.as<CyclerObject>();
  const Value v = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return v;
}

Value cycler_reset(Runtime&, const Value& self, const Call&) {
  self.as<CyclerObject>().position = 0;
  return Value::none();
}

Value is_integer(Runtime&, const Value& self, const Call&) {
  return Value::boolean(std::isfinite(self.as_double()) && self.as_double() == std::floor(self.as_double()));
}

Value bit_length(Runtime&, const Value& self, const Call&) {
  uint64_t n = self.as_int() < 0 ? 0 - static_cast<uint64_t>(self.as_int()) : static_cast<uint64_t>(self.as_int());
  int64_t bits = 0;
  for (; n != 0; n >>= 1) ++bits;
  return Value::integer(bits);
}

constexpr Native kDict[] = {
    {"copy", "", 0, copy},
    {"get", "/key /default", 1, dict_get},
    {"items", "", 0, dict_view<View::kItems>},
    {"keys", "", 0, dict_view<View::kKeys>},
    {"values", "", 0, dict_view<View::kValues>},
};
constexpr Native kList[] = {
    {"copy", "", 0, copy},
    {"count", "/value", 1, count},
    {"index", "/value /start /stop", 1, index},
};
constexpr Native kTuple[] = {
    {"count", "/value", 1, count},
    {"index", "/value /start /stop", 1, index},
};
constexpr Native kCycler[] = {
    {"next", "", 0, cycler_next},
    {"reset", "", 0, cycler_reset},
};
constexpr Native kFloat[] = {{"is_integer", "", 0, is_integer}};
constexpr Native kInt[] = {{"bit_length", "", 0, bit_length}};

std::span<const Native> table_of(const Value& v) {
  switch (v.kind()) {
    case Kind::kDict:
      return kDict;
    case Kind::kList:
      return kList;
    case Kind::kTuple:
    case Kind::kRange:
      return kTuple;
    case Kind::kCycler:
      return kCycler;
    case Kind::kFloat:
      return kFloat;
    case Kind::kBool:
    case Kind::kInt:
      return kInt;
    default:
      return {};
  }
}

const Native* find_in(std::span<const Native> table, std::string_view name) {
  const auto row = std::find_if(table.begin(), table.end(), [&](const Native& n) { return n.name == name; });
  return row == table.end() ? nullptr : &*row;
}

}  // namespace

const Native* find_method(const Value& self, std::string_view name) {
  if (!self.is_string()) return find_in(table_of(self), name);
  const Native* row = find_in(string_methods(), name);
  return row ? row : find_in(split_methods(), name);
}

}  // namespace quern::jinja
