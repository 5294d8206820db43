// AlignedBuffer: owned, uninitialised memory at a cache-line (or larger) boundary. Movable, not copyable.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace quern {

inline constexpr size_t kCacheLine = 64;

class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Empty (data() == nullptr) when the memory cannot be had; the caller turns that into an Error with its numbers.
  explicit AlignedBuffer(size_t bytes, size_t alignment = kCacheLine) {
    if (bytes == 0 || bytes > SIZE_MAX - alignment) return;
    const size_t padded = (bytes + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, padded)));
    if (data_) size_ = bytes;
  }

  [[nodiscard]] std::byte* data() { return data_.get(); }
  [[nodiscard]] const std::byte* data() const { return data_.get(); }
  [[nodiscard]] size_t size() const { return size_; }

  template <class T>
  [[nodiscard]] T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  [[nodiscard]] const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace quern
