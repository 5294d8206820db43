// Ir: a context-free grammar over bytes, what every grammar of quern (JSON Schema, regular expression, GBNF) becomes.
// IrBuilder makes one.
//
// An alternative is a sequence of symbols: a set of bytes, or a rule. UTF-8 is spelled out in bytes, so that a token
// may end within a character. A special token of a vocabulary, "<|im_end|>", is kSpecialByte and then its text: no text
// that is UTF-8 holds that byte, so only the token itself matches.
//
// An Ir that finish() gave has no left recursion, and from every place in it the end can be reached: who follows it
// never comes to a dead end. It is immutable; any thread may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/byte_set.h"

namespace quern::grammar {

inline constexpr uint8_t kSpecialByte = 0xFF;

struct Symbol {
  enum class Kind : uint8_t { kBytes, kRule };
  Kind kind = Kind::kBytes;
  uint32_t index = 0;  // of Ir::sets or of Ir::rules

  auto operator<=>(const Symbol&) const = default;
};

struct Ir {
  struct Rule {
    uint32_t first = 0, last = 0;  // its alternatives: [first, last)
  };
  struct Alternative {
    uint32_t first = 0, last = 0;  // its symbols
  };
  std::vector<ByteSet> sets;
  std::vector<Symbol> symbols;
  std::vector<Alternative> alternatives;
  std::vector<Rule> rules;
  uint32_t root = 0;
  // Of each rule: the fewest bytes that it matches, and the alternative that has them.
  std::vector<uint32_t> least_bytes, least_alternative;
};

// The texts of a grammar that have no other bytes than these; kInvalidArgument: there is none.
Result<Ir> with_bytes(const Ir& ir, const ByteSet& bytes);

// The UTF-8 of a range of code points (first <= last <= 0x10FFFF, surrogates left out) as sequences of byte ranges.
struct Utf8Sequence {
  struct Bytes {
    uint8_t first, last;
  };
  Bytes bytes[4];
  size_t n = 0;
};
std::vector<Utf8Sequence> utf8_sequences(uint32_t first, uint32_t last);

class IrBuilder {
 public:
  using Sequence = std::vector<Symbol>;
  static constexpr size_t kMaxSymbols = 1 << 20;
  static constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

  // A rule without alternatives: it matches nothing until it has some. Rules may refer to each other in any order.
  Symbol rule();
  // For messages.
  void name(Symbol rule, std::string_view name) { names_.emplace(rule.index, name); }
  void add(Symbol rule, std::span<const Symbol> alternative);
  void add(Symbol rule, std::initializer_list<Symbol> alternative) {
    add(rule, std::span(alternative.begin(), alternative.size()));
  }

  Symbol bytes(const ByteSet& set);
  // Exactly these bytes; the same literal is made once.
  Symbol literal(std::string_view bytes);
  // The text of a special token: the token itself, or the same text in other tokens.
  Symbol special(std::string_view text);
  Symbol sequence(std::span<const Symbol> symbols);
  Symbol sequence(std::initializer_list<Symbol> symbols) {
    return sequence(std::span(symbols.begin(), symbols.size()));
  }
  // Any of them; none: matches nothing.
  Symbol choice(std::span<const Symbol> symbols);
  Symbol choice(std::initializer_list<Symbol> symbols) { return choice(std::span(symbols.begin(), symbols.size())); }
  Symbol empty();
  Symbol optional(Symbol symbol) { return choice({symbol, empty()}); }
  Symbol repeat(Symbol symbol, size_t least, size_t most);
  // One character, as UTF-8, whose code point is in one of the ranges (both ends included; surrogates are left out), or
  // where `negated` in none of them.
  struct Range {
    uint32_t first = 0, last = 0;
    auto operator<=>(const Range&) const = default;
  };
  Symbol characters(std::span<const Range> ranges, bool negated = false);

  // Drops what cannot end. kInvalidArgument: nothing matches, or left recursion; kResource: more than kMaxSymbols.
  // Once.
  Result<Ir> finish(Symbol root);

 private:
  struct Alternative {
    uint32_t rule, first, last;
  };
  [[nodiscard]] Ir sorted() const;
  [[nodiscard]] std::string described(std::span<const uint32_t> circle) const;
  Symbol utf8_tree(std::span<const Utf8Sequence> sequences, size_t at);

  std::vector<ByteSet> sets_;
  std::map<ByteSet, uint32_t> set_index_;
  std::map<std::string, Symbol, std::less<>> literals_;
  std::map<uint32_t, std::string> names_;          // by rule
  std::map<std::vector<Sequence>, Symbol> trees_;  // of characters, by their alternatives
  std::vector<Symbol> symbols_;
  std::vector<Alternative> alternatives_;
  uint32_t n_rules_ = 0;
  bool too_large_ = false;
};

}  // namespace quern::grammar
