// ByteReader: a bounded little-endian cursor over bytes that it does not own.
//
// Every read is checked against the end; a failed read returns kCorrupt with the offset and moves nothing. The bytes
// must outlive the reader and every view it gives. One thread at a time.
#pragma once

#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace quern {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] uint64_t offset() const { return offset_; }
  [[nodiscard]] uint64_t remaining() const { return bytes_.size() - offset_; }

  template <class T>
  Result<T> read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return short_read(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  // A view of the next `n` bytes.
  Result<std::span<const std::byte>> take(uint64_t n, std::string_view what) {
    if (n > remaining()) return short_read(what, n);
    auto view = bytes_.subspan(offset_, n);
    offset_ += n;
    return view;
  }

 private:
  tl::unexpected<Error> short_read(std::string_view what, uint64_t n) const {
    return fail_f(ErrorCode::kCorrupt, "{} at byte {} needs {} bytes, only {} are left", what, offset_, n, remaining());
  }

  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace quern
