#include "gguf/value.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace quern {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

template <class T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

std::string_view string_at(const std::byte* at) {
  uint64_t length;
  std::memcpy(&length, at, sizeof(length));
  return {reinterpret_cast<const char*>(at + sizeof(length)), static_cast<size_t>(length)};
}

}  // namespace

size_t gguf_scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

std::string_view gguf_type_name(GgufType type) {
  constexpr std::string_view kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                         "bool",  "string", "array",  "uint64", "int64",  "float64"};
  const auto index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::string_view GgufStrings::Iterator::operator*() const {
  return string_at(at_);
}

GgufStrings::Iterator& GgufStrings::Iterator::operator++() {
  at_ += sizeof(uint64_t) + string_at(at_).size();
  return *this;
}

std::optional<int64_t> GgufValue::as_i64() const {
  switch (type_) {
    case GgufType::kUint8:
      return load<uint8_t>(bytes_);
    case GgufType::kInt8:
      return load<int8_t>(bytes_);
    case GgufType::kUint16:
      return load<uint16_t>(bytes_);
    case GgufType::kInt16:
      return load<int16_t>(bytes_);
    case GgufType::kUint32:
      return load<uint32_t>(bytes_);
    case GgufType::kInt32:
      return load<int32_t>(bytes_);
    case GgufType::kInt64:
      return load<int64_t>(bytes_);
    case GgufType::kUint64: {
      const auto value = load<uint64_t>(bytes_);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<uint64_t> GgufValue::as_u64() const {
  if (type_ == GgufType::kUint64) return load<uint64_t>(bytes_);
  const auto value = as_i64();
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> GgufValue::as_f64() const {
  if (type_ == GgufType::kFloat32) return load<float>(bytes_);
  if (type_ == GgufType::kFloat64) return load<double>(bytes_);
  constexpr int64_t kExact = int64_t{1} << 53;
  const auto value = as_i64();
  if (!value || *value > kExact || *value < -kExact) return std::nullopt;
  return static_cast<double>(*value);
}

std::optional<float> GgufValue::as_f32() const {
  if (type_ == GgufType::kFloat32) return load<float>(bytes_);
  const auto value = as_f64();
  if (!value) return std::nullopt;
  // The range first: the conversion of a double beyond it is undefined. Infinities and NaN pass unchanged.
  if (std::isfinite(*value) && std::fabs(*value) > double{std::numeric_limits<float>::max()}) return std::nullopt;
  const auto narrow = static_cast<float>(*value);
  // A float64 key such as 1e-6 has no exact float32; nearest is what its writer meant. An integer must be exact.
  if (type_ != GgufType::kFloat64 && static_cast<double>(narrow) != *value) return std::nullopt;
  return narrow;
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufType::kBool) return std::nullopt;
  return load<uint8_t>(bytes_) != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufType::kString) return std::nullopt;
  return string_at(bytes_.data());
}

GgufValue GgufValue::at(size_t i) const {
  const size_t bytes = gguf_scalar_bytes(element_);
  return {element_, element_, 1, bytes_.subspan(i * bytes, bytes)};
}

GgufStrings GgufValue::strings() const {
  if (!is_array() || element_ != GgufType::kString) return {};
  return {bytes_, count_};
}

}  // namespace quern
