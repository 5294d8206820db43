// Checked arithmetic for every length and offset that comes from a file, a socket or a flag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace quern {

[[nodiscard]] inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

[[nodiscard]] inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

// Rounds up to a multiple of `align`, which is a power of two. nullopt on overflow.
[[nodiscard]] inline std::optional<uint64_t> checked_align_up(uint64_t value, uint64_t align) {
  auto sum = checked_add(value, align - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(align - 1);
}

[[nodiscard]] constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

[[nodiscard]] constexpr size_t div_up(size_t value, size_t by) {
  return (value + by - 1) / by;
}

}  // namespace quern
