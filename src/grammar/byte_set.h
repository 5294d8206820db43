// ByteSet: which of the 256 byte values may come next. A value; any thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace quern::grammar {

class ByteSet {
 public:
  constexpr ByteSet() = default;
  static constexpr ByteSet one(uint8_t byte) { return range(byte, byte); }
  // Both ends included.
  static constexpr ByteSet range(uint8_t first, uint8_t last) {
    ByteSet set;
    for (unsigned b = first; b <= last; ++b) set.words_[b / 64] |= uint64_t{1} << (b % 64);
    return set;
  }

  [[nodiscard]] constexpr bool has(uint8_t byte) const { return ((words_[byte / 64] >> (byte % 64)) & 1) != 0; }
  [[nodiscard]] constexpr bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }
  [[nodiscard]] constexpr int count() const {
    return std::popcount(words_[0]) + std::popcount(words_[1]) + std::popcount(words_[2]) + std::popcount(words_[3]);
  }
  // The least byte of a set that is not empty.
  [[nodiscard]] constexpr uint8_t first() const {
    unsigned word = 0;
    while (word < 3 && words_[word] == 0) ++word;
    return static_cast<uint8_t>(word * 64 + static_cast<unsigned>(std::countr_zero(words_[word])) % 64);
  }

  constexpr ByteSet& operator|=(const ByteSet& other) {
    for (size_t i = 0; i < 4; ++i) words_[i] |= other.words_[i];
    return *this;
  }
  constexpr ByteSet& operator&=(const ByteSet& other) {
    for (size_t i = 0; i < 4; ++i) words_[i] &= other.words_[i];
    return *this;
  }
  friend constexpr ByteSet operator|(ByteSet a, const ByteSet& b) { return a |= b; }
  friend constexpr ByteSet operator&(ByteSet a, const ByteSet& b) { return a &= b; }
  [[nodiscard]] constexpr ByteSet operator~() const {
    ByteSet set;
    for (size_t i = 0; i < 4; ++i) set.words_[i] = ~words_[i];
    return set;
  }
  constexpr auto operator<=>(const ByteSet&) const = default;

  template <typename Visit>
  constexpr void for_each(Visit visit) const {
    for (unsigned b = 0; b < 256; ++b) {
      if (has(static_cast<uint8_t>(b))) visit(static_cast<uint8_t>(b));
    }
  }

 private:
  std::array<uint64_t, 4> words_{};
};

}  // namespace quern::grammar
