// Filters on sequences as a whole.
#include <algorithm>
#include <numeric>

#include "chat/attribute_path.h"
#include "chat/native.h"
#include "chat/operators.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

Value default_value(Runtime& rt, const Value& self, const Call& call) {
  const bool replace = self.is_undefined() || (call.truth(rt, 1) && !truth(rt, self));
  if (!replace) return self;
  return call.has(0) ? call.arg(0) : rt.string("");
}

Value attribute(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view name = call.text(rt, 0, "");
  if (rt.failed()) return {};
  // Only real attributes: an item of a dict is none.
  if (self.is_dict() && !find_method(self, name)) {
    return rt.undefined(fmt::format("'dict object' has no attribute {}", repr_of_text(name)));
  }
  return get_attribute(rt, self, name);
}

Value first(Runtime& rt, const Value& self, const Call&) {
  Iteration it;
  Value v;
  if (!it.begin(rt, self) || it.next(rt, v)) return v;
  return rt.undefined("No first item, sequence was empty.");
}

Value last(Runtime& rt, const Value& self, const Call&) {
  if (!is_sized(self)) {
    return rt.raise("TypeError", fmt::format("'{}' object is not reversible", type_name(self)));
  }
  const int64_t n = length_of(rt, self);
  if (n == 0) return rt.undefined("No last item, sequence was empty.");
  if (self.is_dict()) return self.dict().entries.back().first;
  if (self.is_seq()) return self.seq().back();
  return get_item(rt, self, Value::integer(n - 1));
}

Value length(Runtime& rt, const Value& self, const Call&) {
  return Value::integer(length_of(rt, self));
}

Value list(Runtime& rt, const Value& self, const Call&) {
  return rt.list(items_of(rt, self));
}

Value join(Runtime& rt, const Value& self, const Call& call) {
  const std::string joint = call.has(0) ? str_of(rt, call.arg(0)) : "";
  const AttributePath path(rt, call.arg(1));
  std::string out;
  Iteration it;
  if (!it.begin(rt, self)) return {};
  bool is_first = true;
  for (Value v; it.next(rt, v);) {
    if (!is_first) out += joint;
    is_first = false;
    append_str(rt, out, path.get(rt, v));
    if (!rt.fits(out.size())) return {};
  }
  return rt.failed() ? Value() : rt.string(std::move(out));
}

// Items with what they are ordered by.
using Keyed = std::vector<std::pair<Value, Value>>;

void sort_keyed(Runtime& rt, Keyed& items, bool reverse) {
  const auto before = [&](const auto& a, const auto& b) {
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  };
  std::stable_sort(items.begin(), items.end(), before);
}

Value values_of(Runtime& rt, const Keyed& items) {
  std::vector<Value> values;
  for (const auto& item : items) values.push_back(item.second);
  return rt.list(std::move(values));
}

Value sort(Runtime& rt, const Value& self, const Call& call) {
  const bool case_sensitive = call.truth(rt, 1);
  std::vector<AttributePath> paths;
  if (call.has(2) && call.arg(2).is_string()) {
    std::string_view rest = call.arg(2).text();
    while (true) {
      const size_t comma = rest.find(',');
      paths.emplace_back(rt, rt.string(std::string(rest.substr(0, comma))));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    paths.emplace_back(rt, call.arg(2));
  }
  Keyed keyed;
  for (const Value& item : items_of(rt, self)) {
    std::vector<Value> key;
    for (const AttributePath& path : paths) {
      const Value v = path.get(rt, item);
      key.push_back(case_sensitive ? v : ignore_case(rt, v));
    }
    if (rt.failed()) return {};
    keyed.emplace_back(rt.list(std::move(key)), item);
  }
  sort_keyed(rt, keyed, call.truth(rt, 0));
  return rt.failed() ? Value() : values_of(rt, keyed);
}

Value dict_sort(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view by = call.text(rt, 1, "key");
  if (by != "key" && by != "value") {
    return rt.raise("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
  }
  if (self.is_undefined()) return rt.raise_undefined(self);
  if (!self.is_dict()) return rt.raise("AttributeError", fmt::format("'{}' has no attribute 'items'", type_name(self)));
  const bool case_sensitive = call.truth(rt, 0);
  Keyed keyed;
  for (const auto& [key, value] : self.dict().entries) {
    const Value& v = by == "key" ? key : value;
    keyed.emplace_back(case_sensitive ? v : ignore_case(rt, v), rt.tuple({key, value}));
    if (rt.failed()) return {};
  }
  sort_keyed(rt, keyed, call.truth(rt, 2));
  return rt.failed() ? Value() : values_of(rt, keyed);
}

Value group_by(Runtime& rt, const Value& self, const Call& call) {
  const AttributePath path(rt, call.arg(0));
  const Value fallback = call.has(1) ? call.arg(1) : Value::none();
  const bool case_sensitive = call.truth(rt, 2);
  Keyed keyed;
  for (const Value& item : items_of(rt, self)) {
    const Value v = path.get(rt, item, fallback);
    keyed.emplace_back(case_sensitive ? v : ignore_case(rt, v), item);
  }
  sort_keyed(rt, keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size() && !rt.failed();) {
    std::vector<Value> members;
    size_t end = i;
    for (; end < keyed.size() && equal(rt, keyed[end].first, keyed[i].first); ++end) {
      members.push_back(keyed[end].second);
    }
    if (rt.failed()) return {};
    const Value grouper = case_sensitive ? keyed[i].first : path.get(rt, members.front(), fallback);
    const Value group = rt.tuple({grouper, rt.list(std::move(members))});
    if (rt.failed()) return {};
    group.as<SequenceObject>().group = true;
    groups.push_back(group);
    i = std::max(end, i + 1);
  }
  return rt.list(std::move(groups));
}

template <bool kMax>
Value extreme(Runtime& rt, const Value& self, const Call& call) {
  const bool case_sensitive = call.truth(rt, 0);
  const AttributePath path(rt, call.arg(1));
  Iteration it;
  if (!it.begin(rt, self)) return {};
  Value best;
  Value best_key;
  bool any = false;
  for (Value v; it.next(rt, v);) {
    Value key = path.get(rt, v);
    if (!case_sensitive) key = ignore_case(rt, key);
    if (!any || (kMax ? less(rt, best_key, key) : less(rt, key, best_key))) {
      best = v;
      best_key = key;
    }
    any = true;
  }
  return any ? best : rt.undefined("No aggregated item, sequence was empty.");
}

Value sum(Runtime& rt, const Value& self, const Call& call) {
  const AttributePath path(rt, call.arg(0));
  Value total = call.has(1) ? call.arg(1) : Value::integer(0);
  if (total.is_string()) return rt.raise("TypeError", "sum() can't sum strings [use ''.join(seq) instead]");
  Iteration it;
  if (!it.begin(rt, self)) return {};
  for (Value v; it.next(rt, v);) total = binary(rt, BinaryOp::kAdd, total, path.get(rt, v));
  return total;
}

Value reverse(Runtime& rt, const Value& self, const Call&) {
  if (self.is_string()) return get_slice(rt, self, Value::none(), Value::none(), Value::integer(-1));
  std::vector<Value> items = items_of(rt, self);
  std::reverse(items.begin(), items.end());
  if (rt.failed()) return {};
  const Value reversed = rt.list(std::move(items));
  if (!is_sized(self)) return reversed;
  Iteration it;
  if (!it.begin(rt, reversed)) return {};
  return rt.iterator(self.is(Kind::kList) ? "list_reverseiterator" : "reversed",
                     [it](Runtime& r, Value& out) mutable { return it.next(r, out); });
}

Value items(Runtime& rt, const Value& self, const Call&) {
  Iteration it;
  if (self.is_undefined()) {
    it.begin(rt, self);
  } else if (self.is_dict()) {
    std::vector<Value> pairs;
    for (const auto& [key, value] : self.dict().entries) pairs.push_back(rt.tuple({key, value}));
    const Value all = rt.list(std::move(pairs));
    if (rt.failed() || !it.begin(rt, all)) return {};
  } else {
    return rt.raise("TypeError", "Can only get item pairs from a mapping.");
  }
  return rt.iterator("generator", [it](Runtime& r, Value& out) mutable { return it.next(r, out); });
}

Value batch(Runtime& rt, const Value& self, const Call& call) {
  const int64_t size = call.integer(rt, 0, 1);
  const bool fill = call.set(1);
  const Value filler = call.arg(1);
  Iteration it;
  if (rt.failed() || !it.begin(rt, self)) return {};
  std::vector<Value> rest;
  // Jinja2 looks one item ahead; an impossible size puts all in one batch.
  return rt.iterator("generator", [it, size, fill, filler, rest](Runtime& r, Value& out) mutable {
    for (Value v; it.next(r, v);) {
      if (static_cast<int64_t>(rest.size()) == size) {
        out = r.list(std::exchange(rest, {v}));
        return !r.failed();
      }
      rest.push_back(v);
    }
    if (rest.empty() || r.failed()) return false;
    const auto missing = size - static_cast<int64_t>(rest.size());
    if (fill && missing > 0) {
      if (!r.fits(static_cast<size_t>(std::min(missing, INT64_MAX / 16)) * sizeof(Value))) return false;
      rest.insert(rest.end(), static_cast<size_t>(missing), filler);
    }
    out = r.list(std::exchange(rest, {}));
    return !r.failed();
  });
}

Value slice(Runtime& rt, const Value& self, const Call& call) {
  const int64_t count = call.integer(rt, 0, 1);
  if (count == 0) return rt.raise("ZeroDivisionError", "integer division or modulo by zero");
  const Value all = rt.list(items_of(rt, self));
  if (rt.failed()) return {};
  const bool fill = call.set(1);
  const Value filler = call.arg(1);
  int64_t number = 0;
  return rt.iterator("generator", [all, count, fill, filler, number](Runtime& r, Value& out) mutable {
    if (number >= count) return false;
    const auto n = static_cast<int64_t>(all.seq().size());
    const int64_t each = n / count;
    const int64_t extra = n % count;
    const int64_t begin = number * each + std::min(number, extra);
    const int64_t end = begin + each + (number < extra ? 1 : 0);
    std::vector<Value> part(all.seq().begin() + begin, all.seq().begin() + end);
    if (fill && number >= extra) part.push_back(filler);
    ++number;
    out = r.list(std::move(part));
    return !r.failed();
  });
}

Value unique(Runtime& rt, const Value& self, const Call& call) {
  const bool case_sensitive = call.truth(rt, 0);
  const AttributePath path(rt, call.arg(1));
  Iteration it;
  if (rt.failed() || !it.begin(rt, self)) return {};
  DictObject* seen = rt.dict();
  return rt.iterator("generator", [it, path, seen, case_sensitive](Runtime& r, Value& out) mutable {
    while (it.next(r, out)) {
      Value key = path.get(r, out);
      if (!case_sensitive) key = ignore_case(r, key);
      const size_t before = seen->entries.size();
      if (!seen->set(r, key, key)) return false;
      if (seen->entries.size() > before) return true;
    }
    return false;
  });
}

constexpr Native kFilters[] = {
    {"attr", "name", 1, attribute},
    {"batch", "linecount fill_with", 1, lazy<batch>},
    {"count", "", 0, length},
    {"d", "default_value boolean", 0, default_value},
    {"default", "default_value boolean", 0, default_value},
    {"dictsort", "case_sensitive by reverse", 0, dict_sort},
    {"first", "", 0, first},
    {"groupby", "attribute default case_sensitive", 1, group_by},
    {"items", "", 0, lazy<items>},
    {"join", "d attribute", 0, join},
    {"last", "", 0, last},
    {"length", "", 0, length},
    {"list", "", 0, list},
    {"max", "case_sensitive attribute", 0, extreme<true>},
    {"min", "case_sensitive attribute", 0, extreme<false>},
    {"reverse", "", 0, reverse},
    {"slice", "slices fill_with", 1, lazy<slice>},
    {"sort", "reverse case_sensitive attribute", 0, sort},
    {"sum", "attribute start", 0, sum},
    {"unique", "case_sensitive attribute", 0, lazy<unique>},
};

}  // namespace

std::span<const Native> sequence_filters() {
  return kFilters;
}

}  // namespace quern::jinja
