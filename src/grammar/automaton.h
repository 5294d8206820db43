// Automaton: follows an Ir byte by byte. States are made as they are met and kept, so that a place that was visited
// before costs one table look-up: a deterministic automaton of the grammar, built lazily.
//
// A state is a set of stacks; a stack is what has to follow: a place in an alternative, and its frame, where the rule
// around it goes on. A grammar may be ambiguous, so a frame is itself a set of stacks: what was read in two ways goes
// on as one, and nested texts that are ambiguous at each level do not double at each level (the graph-structured stack
// of Tomita's parsers). Stacks and frames are shared. A rule that ends with a rule leaves no place behind, so that long
// texts do not make deep stacks. Places from which no byte is read are passed at once, so every stack of a state is at
// a set of bytes. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "grammar/ir.h"

namespace quern::grammar {

class Automaton {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0;
  static constexpr size_t kMaxStacks = 1 << 21;        // in all, and in all frames
  static constexpr size_t kMaxTableEntries = 1 << 24;  // 64 MB
  static constexpr size_t kMaxStacksOfState = 1 << 12;
  static constexpr size_t kMaxMerged = 1 << 15;  // of the frames that become one

  explicit Automaton(std::shared_ptr<const Ir> ir);
  Automaton(const Automaton&) = delete;
  Automaton& operator=(const Automaton&) = delete;

  [[nodiscard]] State start() const { return start_; }
  State next(State state, uint8_t byte) {
    const State known = table_[state * n_classes_ + class_of_[byte]];
    return known != kUnknown ? known : compute(state, class_of_[byte]);
  }
  State next(State state, std::string_view bytes);
  [[nodiscard]] bool accepts(State state) const { return states_[state].accepts; }
  // Nothing may follow.
  bool complete(State state);
  // The fewest bytes with which the text can end, at most 2^32 - 2; and such bytes, at most `most` of them.
  [[nodiscard]] uint32_t least_bytes(State state) const { return states_[state].least; }
  [[nodiscard]] std::string shortest_end(State state, size_t most) const;
  // The byte that has to follow, -1 where there is a choice or the text may end.
  int only_byte(State state);

  // Bytes of one class have the same place everywhere in the grammar.
  [[nodiscard]] uint8_t class_of(uint8_t byte) const { return class_of_[byte]; }
  // A limit was met: from then on states that were not met before are dead.
  [[nodiscard]] bool exhausted() const { return exhausted_; }
  // Of its limits, 0 to 1.
  [[nodiscard]] double fullness() const;
  [[nodiscard]] size_t n_states() const { return states_.size(); }

 private:
  static constexpr State kUnknown = ~State{0};
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kEnd = kNone;  // of an alternative, among places
  static constexpr uint32_t kFewStacks = 16;

  struct Place {             // in an alternative
    uint32_t symbol = kEnd;  // a rule, or a set; kEnd
    bool is_rule = false;
    uint32_t least = 0;  // bytes from here to the end of the alternative
  };
  struct Stack {
    uint32_t place, frame;
    uint32_t least;          // bytes to the end of the text
    uint32_t alone = kNone;  // the frame that has this stack alone; kNone: not asked for yet
  };
  struct Range {
    uint32_t first = 0, last = 0;
  };
  struct Frame {
    Range in_links;  // its stacks in ascending order; kNone: the text's end
    uint32_t least;
  };
  struct StateRow {
    uint32_t first = 0, last = 0;  // in members_
    uint32_t least = 0;
    bool accepts = false;
  };
  struct Pending {
    uint32_t place, frame;
    auto operator<=>(const Pending&) const = default;
  };
  struct StateHash {
    const Automaton* a;
    size_t operator()(State s) const;
  };
  struct StateEqual {
    const Automaton* a;
    bool operator()(State x, State y) const;
  };
  struct FrameHash {
    const Automaton* a;
    size_t operator()(uint32_t frame) const;
  };
  struct FrameEqual {
    const Automaton* a;
    bool operator()(uint32_t x, uint32_t y) const;
  };

  void make_places();
  void make_classes();
  uint32_t stack(uint32_t place, uint32_t frame);
  [[nodiscard]] std::span<const uint32_t> links(uint32_t frame) const;
  // Of the stacks in links_ from `first` on, which may be in any order and more than once.
  uint32_t take_frame(uint32_t first);
  uint32_t frame_of_one(uint32_t stack);
  // kNone: these are too many.
  uint32_t frame_of_all(std::span<const Pending> at_one_place);
  [[nodiscard]] uint32_t least_of(uint32_t link) const { return link == kNone ? 0 : stacks_[link].least; }
  [[nodiscard]] const ByteSet& set_of(const Stack& s) const { return ir_->sets[places_[s.place].symbol]; }
  State compute(State state, uint8_t cls);
  void set_next(State state, uint8_t cls, State to);
  // The state of all that `pending_` leads to.
  State close();
  void expand(const Pending& at);
  State intern();

  std::shared_ptr<const Ir> ir_;
  std::vector<Place> places_;
  std::vector<uint32_t> first_place_;  // by alternative
  uint8_t class_of_[256] = {};
  std::vector<uint8_t> byte_of_;  // one of each class
  size_t n_classes_ = 0;
  std::vector<Stack> stacks_;
  std::unordered_map<uint64_t, uint32_t> stack_index_;
  std::vector<Frame> frames_;
  std::vector<uint32_t> links_;
  std::unordered_set<uint32_t, FrameHash, FrameEqual> frame_index_;
  std::vector<StateRow> states_;
  std::vector<uint32_t> members_;
  std::unordered_set<State, StateHash, StateEqual> state_index_;
  std::vector<State> table_;  // states x classes
  State start_ = kDead;
  bool exhausted_ = false;
  // Of close(), reused.
  std::vector<Pending> pending_;
  std::vector<Pending> found_;
  std::unordered_set<uint64_t> visited_;
  bool accepts_ = false;
};

}  // namespace quern::grammar
