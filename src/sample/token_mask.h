// TokenMask: which tokens a grammar allows next. A view of 32-bit words, bit id % 32 of word id / 32 set where token
// `id` is allowed (xgrammar's layout); no words at all allows every token. The words must outlive the call they are
// handed to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace quern {

struct TokenMask {
  std::span<const uint32_t> words;

  [[nodiscard]] bool empty() const { return words.empty(); }
  [[nodiscard]] bool covers(size_t n_vocab) const { return words.size() >= (n_vocab + 31) / 32; }
  [[nodiscard]] bool allows(size_t id) const { return empty() || ((words[id / 32] >> (id % 32)) & 1u) != 0; }
};

}  // namespace quern
