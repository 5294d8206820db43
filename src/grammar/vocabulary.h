// Vocabulary: the bytes of a model's tokens as tries, which are walked beside an automaton to find the tokens that a
// grammar allows.
//
// Most tokens are plain: whole characters that stand in a JSON string as they are. Where a grammar takes any plain text
// up to some length, all plain tokens within it are allowed together, and only the others are walked: one in fifteen of
// gemma-3's 262,144. Made once for a model; immutable, any thread. Source of the idea: the "slices" of llguidance.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/byte_set.h"

namespace quern::grammar {

class Vocabulary {
 public:
  struct Node {
    uint8_t byte = 0;
    uint8_t depth = 0;   // of the byte in its token, from 0
    uint32_t token = 0;  // 1 + the token that ends here, 0: none
    uint32_t end = 0;    // the first node behind this one's subtree
  };
  // Tokens of one kind, in depth-first order.
  struct Trie {
    size_t max_characters = 0;  // of its plain tokens; 0: of the trie of all others
    std::vector<Node> nodes;
  };
  static constexpr size_t kLongest = 255;  // bytes; longer tokens are never allowed

  // bytes(id) is empty for a token that no text holds; a special one has kSpecialByte before its text. `ends` are the
  // tokens that end a text.
  Vocabulary(size_t n_vocab, const std::function<std::string(int32_t)>& bytes, std::span<const int32_t> ends);

  [[nodiscard]] size_t n_vocab() const { return bytes_first_.size() - 1; }
  [[nodiscard]] std::span<const int32_t> ends() const { return ends_; }
  [[nodiscard]] bool is_end(int32_t id) const;
  [[nodiscard]] std::string_view bytes(int32_t id) const;
  // Those that some token has.
  [[nodiscard]] const ByteSet& bytes_of_all() const { return bytes_of_all_; }
  // Plain tokens of up to 6, 12, 24 and more characters, then the others.
  [[nodiscard]] std::span<const Trie> tries() const { return tries_; }
  // Adds the plain tokens of at most so many characters to a mask (TokenMask's layout).
  void add_plain(size_t characters, std::vector<uint32_t>& words) const;
  // The next token that has the same bytes, -1 after the last.
  [[nodiscard]] int32_t twin(int32_t id) const { return twin_[static_cast<size_t>(id)]; }
  // The longest token that `text` begins with, -1: none.
  [[nodiscard]] int32_t longest(std::string_view text) const;
  // Whether some token begins with `prefix` and has more bytes, the next of which `takes` (a byte) accepts.
  [[nodiscard]] bool goes_on(std::string_view prefix, const std::function<bool(uint8_t)>& takes) const;

 private:
  struct PlainToken {
    uint8_t characters;
    int32_t id;
  };
  void build(Trie& trie, std::vector<int32_t>& ids);
  void count_plain(std::vector<PlainToken> tokens);

  std::string bytes_;
  ByteSet bytes_of_all_;
  std::vector<uint32_t> bytes_first_;
  std::vector<int32_t> twin_;
  std::vector<int32_t> ends_;
  std::vector<Trie> tries_;
  std::vector<std::vector<uint32_t>> plain_;  // masks of the plain tokens of at most 0, 1, ... kCounted characters
  std::vector<PlainToken> long_;              // those with more, in order
};

// Plain text as an automaton over bytes: from state 0, back in 0 after each whole character that needs no escape in a
// JSON string. -1: the byte does not belong to one.
int plain_next(int state, uint8_t byte);
inline constexpr int kPlainStates = 8;

}  // namespace quern::grammar
