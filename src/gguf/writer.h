// GgufWriter: writes GGUF version 3, little-endian.
//
// Collects keys and tensors in the order given, then streams one file to a sink. Keys and names are copied; tensor data
// is not: a span must live until the last write, a producer is called once per write. Mistakes (a duplicate name, a
// shape that the format does not allow, too much or too little data) are reported by write. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "gguf/value.h"
#include "quant/format.h"

namespace quern {

// Takes the file's next bytes; an error ends the writing.
using ByteSink = std::function<Status(std::span<const std::byte>)>;
// Hands a tensor's bytes, in pieces of any size, to the sink.
using TensorProducer = std::function<Status(const ByteSink&)>;

struct GgufTensorSpec {
  std::string name;
  TensorType type{};
  std::vector<uint64_t> dims;  // dims[0] is the row's length
};

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t alignment = kGgufDefaultAlignment);

  // Scalars: T is bool, float, double or an integer of 8 to 64 bits and is stored as such.
  template <class T>
    requires std::is_arithmetic_v<T>
  void add(std::string_view key, T value) {
    add_raw(key, gguf_type_of<T>(), std::as_bytes(std::span(&value, 1)));
  }
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  // A value as read from another file.
  void add(std::string_view key, const GgufValue& value);
  template <class T>
  void add_array(std::string_view key, std::span<const T> values) {
    add_array_raw(key, gguf_type_of<T>(), values.size(), std::as_bytes(values));
  }
  void add_strings(std::string_view key, std::span<const std::string_view> texts);

  void add_tensor(GgufTensorSpec spec, std::span<const std::byte> data);
  void add_tensor(GgufTensorSpec spec, TensorProducer producer);

  [[nodiscard]] Status write(const ByteSink& sink) const;
  // The whole file in memory, for small ones.
  [[nodiscard]] Result<std::vector<std::byte>> bytes() const;

  // This file as several, each holding at most max_tensor_bytes of tensors (or one tensor that is larger), with the
  // split.* keys that readers expect; the first has all other keys. Name them as split_paths does. The writers share
  // this one's data.
  [[nodiscard]] std::vector<GgufWriter> split(uint64_t max_tensor_bytes) const;

 private:
  struct Key {
    std::string name;
    std::vector<std::byte> encoded;  // type and payload
  };
  struct Tensor {
    GgufTensorSpec spec;
    TensorProducer producer;
  };

  template <class T>
  static constexpr GgufType gguf_type_of();
  void add_raw(std::string_view key, GgufType type, std::span<const std::byte> payload);
  void add_array_raw(std::string_view key, GgufType element, size_t count, std::span<const std::byte> payload);
  Status check() const;
  Result<std::vector<std::byte>> header() const;

  uint32_t alignment_;
  std::vector<Key> keys_;
  std::vector<Tensor> tensors_;
};

template <class T>
constexpr GgufType GgufWriter::gguf_type_of() {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8);
  if (std::is_same_v<T, bool>) return GgufType::kBool;
  if (std::is_floating_point_v<T>) return sizeof(T) == 4 ? GgufType::kFloat32 : GgufType::kFloat64;
  constexpr bool kSigned = std::is_signed_v<T>;
  switch (sizeof(T)) {
    case 1:
      return kSigned ? GgufType::kInt8 : GgufType::kUint8;
    case 2:
      return kSigned ? GgufType::kInt16 : GgufType::kUint16;
    case 4:
      return kSigned ? GgufType::kInt32 : GgufType::kUint32;
    default:
      return kSigned ? GgufType::kInt64 : GgufType::kUint64;
  }
}

}  // namespace quern
