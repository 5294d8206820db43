// GgufValue: a metadata value of a GGUF file, read in place.
//
// A value is a view: type, element count and a pointer into the file's bytes, which must outlive it. The reader has
// checked every length before it hands one out, so access cannot fail or leave the file; a conversion that would lose
// something gives nullopt. Copying is cheap; reading from several threads is safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

namespace quern {

// The numbers are those of the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Bytes of a scalar; 0 for strings and arrays, and for numbers that are no type.
size_t gguf_scalar_bytes(GgufType type);
// "uint8", "string", ...; "unknown" for numbers that are no type.
std::string_view gguf_type_name(GgufType type);

// The strings of an array, in order, decoded while walking.
class GgufStrings {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    Iterator() = default;
    explicit Iterator(const std::byte* at) : at_(at) {}
    std::string_view operator*() const;
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const std::byte* at_ = nullptr;
  };

  GgufStrings() = default;
  GgufStrings(std::span<const std::byte> bytes, size_t count) : bytes_(bytes), count_(count) {}

  [[nodiscard]] size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Iterator begin() const { return Iterator(bytes_.data()); }
  [[nodiscard]] Iterator end() const { return Iterator(bytes_.data() + bytes_.size()); }

 private:
  std::span<const std::byte> bytes_;
  size_t count_ = 0;
};

class GgufValue {
 public:
  GgufValue() = default;
  // `bytes` is the whole payload: a scalar's bytes, a string with its length, or an array's elements without its
  // header. `element` equals `type` and `count` is 1 unless type is kArray. The caller has validated it (reader,
  // writer).
  GgufValue(GgufType type, GgufType element, size_t count, std::span<const std::byte> bytes)
      : type_(type), element_(element), count_(count), bytes_(bytes) {}

  [[nodiscard]] GgufType type() const { return type_; }
  [[nodiscard]] GgufType element_type() const { return element_; }
  [[nodiscard]] size_t size() const { return count_; }
  [[nodiscard]] bool is_array() const { return type_ == GgufType::kArray; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  // Scalars. Integers convert between widths where the value fits; floats take integers that they hold exactly.
  [[nodiscard]] std::optional<uint64_t> as_u64() const;
  [[nodiscard]] std::optional<int64_t> as_i64() const;
  [[nodiscard]] std::optional<double> as_f64() const;
  [[nodiscard]] std::optional<float> as_f32() const;
  [[nodiscard]] std::optional<bool> as_bool() const;
  [[nodiscard]] std::optional<std::string_view> as_string() const;

  // Element i < size() of an array of scalars, in constant time. An array of strings is walked by strings().
  [[nodiscard]] GgufValue at(size_t i) const;
  // Empty unless this is an array of strings.
  [[nodiscard]] GgufStrings strings() const;

 private:
  GgufType type_ = GgufType::kUint8;
  GgufType element_ = GgufType::kUint8;
  size_t count_ = 0;
  std::span<const std::byte> bytes_;
};

}  // namespace quern
