// Dfa: a regular set of texts, for what a context-free grammar cannot say: intersection and complement. A string of a
// JSON schema with a pattern, a length and a format is the intersection of three.
//
// Its alphabet is code points (0 to 0x10FFFF without surrogates), split into ranges; UTF-8 and JSON's escapes come when
// it is written into an IrBuilder. A value; any thread. Every operation fails with kResource beyond kMaxStates; a
// product may have a few times as many before it is made minimal. Sources: subset construction and products as in
// Hopcroft, Motwani, Ullman, "Introduction to Automata Theory".
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/ir.h"

namespace quern::grammar {

class Dfa {
 public:
  static constexpr size_t kMaxStates = 20000, kMaxEdges = 1 << 20;
  struct Edge {
    uint32_t first = 0, last = 0;  // code points, both included, neither a surrogate
    uint32_t to = 0;
    auto operator<=>(const Edge&) const = default;
  };
  struct State {
    std::vector<Edge> edges;  // sorted by `first`, disjoint
    bool accepts = false;
  };

  // State 0 is the first; no states: no text. For regex.cpp and the ranges of numbers, which build states by
  // themselves.
  static Dfa of(std::vector<State> states) { return Dfa(std::move(states)); }
  static Dfa any();  // every text
  // Exactly these UTF-8 texts; kInvalidArgument if one is not UTF-8.
  static Result<Dfa> texts(std::span<const std::string_view> texts);
  // least to most characters; most may be IrBuilder::kUnbounded.
  static Result<Dfa> length(size_t least, size_t most);

  static Result<Dfa> intersection(const Dfa& a, const Dfa& b);
  static Result<Dfa> join(const Dfa& a, const Dfa& b);  // union
  [[nodiscard]] Result<Dfa> complement() const;
  // Its texts of least to most characters. Where these take more than kMaxStates, `most` is taken to be less: fewer
  // texts, never others. kResource if even the shortest take too many.
  [[nodiscard]] Result<Dfa> of_length(size_t least, size_t most) const;
  // Fewest states; states from which nothing is accepted are gone. What the operations give is minimal.
  [[nodiscard]] Dfa minimal() const;

  [[nodiscard]] bool matches(std::string_view utf8) const;
  [[nodiscard]] bool empty() const;  // it has no text
  [[nodiscard]] const std::vector<State>& states() const { return states_; }

  // As UTF-8.
  [[nodiscard]] Symbol write(IrBuilder& to) const;
  // As the inside of a JSON string: '"', '\' and control characters as one fixed escape each (\" \\ \n \t \r \b \f,
  // else \u00xx), everything else as it is, or a rare character as json_spelling.h says.
  [[nodiscard]] Symbol write_json(IrBuilder& to) const;

 private:
  explicit Dfa(std::vector<State> states);
  std::vector<State> states_;
  bool is_minimal_ = false;
};

}  // namespace quern::grammar
