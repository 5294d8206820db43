// GgufView's look-ups and typed getters; parser.cpp fills it, split.cpp joins it.
#include "gguf/reader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <type_traits>

#include "gguf/printable.h"

namespace quern {
namespace {

// Indices of `items` sorted by name.
template <class T>
std::vector<uint32_t> sort_by_name(const std::vector<T>& items) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return items[a].name < items[b].name; });
  return order;
}

template <class T>
const T* duplicate(const std::vector<T>& items, const std::vector<uint32_t>& order) {
  for (size_t i = 1; i < order.size(); ++i)
    if (items[order[i - 1]].name == items[order[i]].name) return &items[order[i]];
  return nullptr;
}

template <class T>
const T* look_up(const std::vector<T>& items, const std::vector<uint32_t>& order, std::string_view name) {
  const auto it = std::lower_bound(order.begin(), order.end(), name,
                                   [&](uint32_t i, std::string_view wanted) { return items[i].name < wanted; });
  return it != order.end() && items[*it].name == name ? &items[*it] : nullptr;
}

std::string describe_type(const GgufValue& value) {
  if (!value.is_array()) return std::string(gguf_type_name(value.type()));
  return fmt::format("array of {}", gguf_type_name(value.element_type()));
}

template <class T>
std::optional<T> convert(const GgufValue& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value.as_bool();
  } else if constexpr (std::is_same_v<T, float>) {
    return value.as_f32();
  } else if constexpr (std::is_unsigned_v<T>) {
    const auto wide = value.as_u64();
    if (!wide || *wide > std::numeric_limits<T>::max()) return std::nullopt;
    return static_cast<T>(*wide);
  } else {
    const auto wide = value.as_i64();
    if (!wide || *wide > std::numeric_limits<T>::max() || *wide < std::numeric_limits<T>::min()) return std::nullopt;
    return static_cast<T>(*wide);
  }
}

}  // namespace

Status GgufView::build_index() {
  keys_by_name_ = sort_by_name(keys_);
  if (const GgufKey* twice = duplicate(keys_, keys_by_name_))
    return fail_f(ErrorCode::kCorrupt, "{}: key {} occurs twice", file_name_, printable(twice->name));
  tensors_by_name_ = sort_by_name(tensors_);
  if (const GgufTensor* twice = duplicate(tensors_, tensors_by_name_))
    return fail_f(ErrorCode::kCorrupt, "{}: tensor {} occurs twice, once at byte {}", file_name_,
                  printable(twice->name), twice->file_offset);
  return {};
}

const GgufValue* GgufView::find(std::string_view key) const {
  const GgufKey* found = look_up(keys_, keys_by_name_, key);
  return found ? &found->value : nullptr;
}

const GgufTensor* GgufView::find_tensor(std::string_view name) const {
  return look_up(tensors_, tensors_by_name_, name);
}

template <class T, class Convert>
Result<T> GgufView::scalar(std::string_view key, std::string_view wanted, Convert to) const {
  const GgufValue* value = find(key);
  if (!value)
    return fail_f(ErrorCode::kNotFound, "{}: key {} is missing: the file is no complete model of its kind", file_name_,
                  printable(key));
  const std::optional<T> converted = to(*value);
  if (converted) return *converted;
  const auto number = value->as_i64();
  return fail_f(ErrorCode::kCorrupt, "{}: key {} is {}{}, not {}", file_name_, printable(key), describe_type(*value),
                number ? fmt::format(" of value {}", *number) : "", wanted);
}

Result<uint64_t> GgufView::get_u64(std::string_view key) const {
  return scalar<uint64_t>(key, "an unsigned integer", [](const GgufValue& v) { return v.as_u64(); });
}
Result<int64_t> GgufView::get_i64(std::string_view key) const {
  return scalar<int64_t>(key, "an integer of 64 bits", [](const GgufValue& v) { return v.as_i64(); });
}
Result<float> GgufView::get_f32(std::string_view key) const {
  return scalar<float>(key, "a number that fits float32", [](const GgufValue& v) { return v.as_f32(); });
}
Result<bool> GgufView::get_bool(std::string_view key) const {
  return scalar<bool>(key, "a bool", [](const GgufValue& v) { return v.as_bool(); });
}
Result<std::string_view> GgufView::get_string(std::string_view key) const {
  return scalar<std::string_view>(key, "a string", [](const GgufValue& v) { return v.as_string(); });
}
Result<GgufStrings> GgufView::get_strings(std::string_view key) const {
  return scalar<GgufStrings>(key, "an array of strings", [](const GgufValue& v) -> std::optional<GgufStrings> {
    if (!v.is_array() || v.element_type() != GgufType::kString) return std::nullopt;
    return v.strings();
  });
}

Result<uint64_t> GgufView::get_u64(std::string_view key, uint64_t absent) const {
  return find(key) ? get_u64(key) : absent;
}
Result<int64_t> GgufView::get_i64(std::string_view key, int64_t absent) const {
  return find(key) ? get_i64(key) : absent;
}
Result<float> GgufView::get_f32(std::string_view key, float absent) const {
  return find(key) ? get_f32(key) : absent;
}
Result<bool> GgufView::get_bool(std::string_view key, bool absent) const {
  return find(key) ? get_bool(key) : absent;
}
Result<std::string_view> GgufView::get_string(std::string_view key, std::string_view absent) const {
  return find(key) ? get_string(key) : absent;
}

template <class T>
Result<std::vector<T>> GgufView::get_array(std::string_view key) const {
  QUERN_TRY(const GgufValue value,
            (scalar<GgufValue>(key, "an array of numbers", [](const GgufValue& v) -> std::optional<GgufValue> {
              if (!v.is_array() || v.element_type() == GgufType::kString) return std::nullopt;
              return v;
            })));
  std::vector<T> out;
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const std::optional<T> element = convert<T>(value.at(i));
    if (!element)
      return fail_f(ErrorCode::kCorrupt, "{}: key {}: element {} is {} and does not fit the type wanted", file_name_,
                    printable(key), i, gguf_type_name(value.element_type()));
    out.push_back(*element);
  }
  return out;
}

template Result<std::vector<int32_t>> GgufView::get_array(std::string_view) const;
template Result<std::vector<uint32_t>> GgufView::get_array(std::string_view) const;
template Result<std::vector<int64_t>> GgufView::get_array(std::string_view) const;
template Result<std::vector<uint64_t>> GgufView::get_array(std::string_view) const;
template Result<std::vector<float>> GgufView::get_array(std::string_view) const;
template Result<std::vector<bool>> GgufView::get_array(std::string_view) const;

}  // namespace quern
