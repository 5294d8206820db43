#include "chat/value.h"

#include <algorithm>

#include "chat/operators.h"
#include "chat/runtime.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

constexpr size_t kIndexFrom = 9;  // smaller dicts are searched from end to end

}  // namespace

StringObject::StringObject(std::string t, bool is_markup)
    : text(std::move(t)), length(count_code_points(text)), markup(is_markup) {}

int64_t RangeObject::size() const {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  // In unsigned numbers: the distance of two int64 may not fit one. The count does, by TemplateLimits::max_range.
  const auto from = static_cast<uint64_t>(step > 0 ? start : stop);
  const auto to = static_cast<uint64_t>(step > 0 ? stop : start);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return static_cast<int64_t>((to - from - 1) / stride + 1);
}

int64_t RangeObject::at(int64_t i) const {
  return static_cast<int64_t>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
}

int64_t DictObject::locate(Runtime& rt, const Value& key, size_t hash) const {
  if (entries.size() < kIndexFrom) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (equal(rt, entries[i].first, key)) return static_cast<int64_t>(i);
    }
    return -1;
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (rt.step() && equal(rt, entries[it->second].first, key)) return it->second;
  }
  return -1;
}

const Value* DictObject::find(Runtime& rt, const Value& key) const {
  size_t hash = 0;
  if (!hash_of(rt, key, hash)) return nullptr;
  const int64_t at = locate(rt, key, hash);
  return at < 0 ? nullptr : &entries[static_cast<size_t>(at)].second;
}

const Value* DictObject::find(std::string_view key) const {
  const auto is_key = [&](size_t i) { return entries[i].first.is_string() && entries[i].first.text() == key; };
  if (entries.size() < kIndexFrom) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (is_key(i)) return &entries[i].second;
    }
    return nullptr;
  }
  const auto [begin, end] = index_.equal_range(std::hash<std::string_view>()(key));
  for (auto it = begin; it != end; ++it) {
    if (is_key(it->second)) return &entries[it->second].second;
  }
  return nullptr;
}

bool DictObject::set(Runtime& rt, const Value& key, const Value& value) {
  size_t hash = 0;
  if (!hash_of(rt, key, hash)) {
    rt.raise("TypeError", fmt::format("unhashable type: '{}'", type_name(key)));
    return false;
  }
  if (const int64_t at = locate(rt, key, hash); at >= 0) {
    entries[static_cast<size_t>(at)].second = value;
    return true;
  }
  entries.emplace_back(key, value);
  rt.heap().charge(sizeof(entries[0]) + 40);
  if (entries.size() == kIndexFrom) {
    for (size_t i = 0; i + 1 < entries.size(); ++i) {
      size_t h = 0;
      hash_of(rt, entries[i].first, h);
      index_.emplace(h, static_cast<uint32_t>(i));
    }
  }
  if (entries.size() >= kIndexFrom) index_.emplace(hash, static_cast<uint32_t>(entries.size() - 1));
  return true;
}

const Value* NamespaceObject::find(std::string_view name) const {
  const auto it = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  return it == fields.end() ? nullptr : &it->second;
}

void NamespaceObject::set(std::string_view name, const Value& value) {
  const auto it = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  if (it != fields.end()) {
    it->second = value;
  } else {
    fields.emplace_back(name, value);
  }
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return value.as<SequenceObject>().group ? "_GroupTuple" : "tuple";
    case Kind::kView:
      return value.as<SequenceObject>().label;
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return value.as<IteratorObject>().label;
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kMacro:
      return "Macro";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

}  // namespace quern::jinja
