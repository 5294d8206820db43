// The global functions.
#include <algorithm>

#include "chat/native.h"
#include "chat/operators.h"
#include "chat/strftime.h"

namespace quern::jinja {
namespace {

Value range(Runtime& rt, const Value&, const Call& call) {
  int64_t start = 0;
  int64_t stop = call.integer(rt, 0, 0);
  const int64_t step = call.integer(rt, 2, 1);
  if (call.has(1)) {
    start = stop;
    stop = call.integer(rt, 1, 0);
  }
  if (rt.failed()) return {};
  if (step == 0) return rt.raise("ValueError", "range() arg 3 must not be zero");
  // The size in 128 bits: the difference of two int64 does not fit one.
  const __int128 span = step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > static_cast<__int128>(rt.limits().max_range)) {
    return rt.raise("OverflowError",
                    fmt::format("Range too big. The sandbox blocks ranges larger than {}.", rt.limits().max_range));
  }
  // A stop that no item comes near is brought within reach, so that sizes never overflow.
  if (count == 0 && span != 0) stop = start;
  rt.fits(sizeof(RangeObject));
  return {Kind::kRange, rt.heap().make<RangeObject>(0, start, stop, step)};
}

bool add_pairs(Runtime& rt, const Value& from, DictObject& dict) {
  if (from.is_dict()) {
    for (const auto& [key, value] : from.dict().entries) {
      if (!dict.set(rt, key, value)) return false;
    }
    return true;
  }
  for (const Value& pair : items_of(rt, from)) {
    const std::vector<Value> both = items_of(rt, pair);
    if (both.size() != 2) {
      rt.raise("ValueError",
               fmt::format("dictionary update sequence element has length {}; 2 is required", both.size()));
    }
    if (rt.failed() || !dict.set(rt, both[0], both[1])) return false;
  }
  return !rt.failed();
}

DictObject* dict_from(Runtime& rt, const Call& call) {
  DictObject* dict = rt.dict();
  const Args& args = call.args();
  if (args.positional.size() > 1) rt.raise("TypeError", "dict expected at most 1 argument");
  if (!args.positional.empty() && !add_pairs(rt, args.positional[0], *dict)) return dict;
  for (const auto& [name, value] : args.named) dict->set(rt, rt.string(name), value);
  return dict;
}

Value dict(Runtime& rt, const Value&, const Call& call) {
  return {Kind::kDict, dict_from(rt, call)};
}

Value make_namespace(Runtime& rt, const Value&, const Call& call) {
  const DictObject* dict = dict_from(rt, call);
  rt.fits(sizeof(NamespaceObject));
  auto* ns = rt.heap().make<NamespaceObject>(0);
  for (const auto& [key, value] : dict->entries) {
    if (!key.is_string()) return rt.raise("TypeError", "the names of a namespace must be strings");
    if (!rt.step(ns->fields.size() / 8)) return {};
    ns->set(key.text(), value);
  }
  return {Kind::kNamespace, ns};
}

Value cycler(Runtime& rt, const Value&, const Call& call) {
  if (!call.args().named.empty()) return rt.raise("TypeError", "cycler() takes no keyword arguments");
  if (call.args().positional.empty()) return rt.raise("RuntimeError", "at least one item has to be provided");
  auto* object = rt.heap().make<CyclerObject>(call.args().positional.size() * sizeof(Value));
  object->items = call.args().positional;
  return {Kind::kCycler, object};
}

Value joiner(Runtime& rt, const Value&, const Call& call) {
  auto* object = rt.heap().make<JoinerObject>(0);
  object->separator = call.has(0) ? call.arg(0) : rt.string(", ");
  return {Kind::kJoiner, object};
}

Value raise_exception(Runtime& rt, const Value&, const Call& call) {
  return rt.raise("TemplateError", str_of(rt, call.arg(0)));
}

Value strftime_now(Runtime& rt, const Value&, const Call& call) {
  const std::string_view format = call.text(rt, 0, "");
  if (rt.failed() || !rt.fits(format.size() * 64)) return {};
  return rt.string(format_time(format, rt.now()));
}

constexpr Native kGlobals[] = {
    {"cycler", "*", 0, cycler},
    {"dict", "*", 0, dict},
    {"joiner", "sep", 0, joiner},
    {"namespace", "*", 0, make_namespace},
    {"raise_exception", "message", 1, raise_exception},
    {"range", "/start /stop /step", 1, range},
    {"strftime_now", "format", 1, strftime_now},
};

}  // namespace

const Native* find_global(std::string_view name) {
  const auto* row =
      std::find_if(std::begin(kGlobals), std::end(kGlobals), [&](const Native& n) { return n.name == name; });
  return row == std::end(kGlobals) ? nullptr : row;
}

}  // namespace quern::jinja
