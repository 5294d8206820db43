// Masks: which tokens of a vocabulary a grammar allows in a state of its automaton; kept by state, since texts come
// back to the same ones. One thread at a time; the automaton is the caller's and changes (it learns).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/vocabulary.h"

namespace quern::grammar {

class Masks {
 public:
  static constexpr size_t kMaxBytes = 32 << 20;

  Masks(std::shared_ptr<const Vocabulary> vocabulary, Automaton& automaton);

  // Words of TokenMask, ends of text included where the state accepts. Valid until the next call.
  const std::vector<uint32_t>& of(Automaton::State state);

 private:
  static constexpr size_t kSparse = 256;  // tokens up to which a list is kept instead of a mask
  struct Kept {
    std::vector<uint32_t> words;
    std::vector<int32_t> ids;  // where there are no words
  };
  // Plain text of up to so many characters may come whatever it is, kLongest where there is no end to it; where it is
  // `exact`, none that is longer.
  struct Room {
    size_t characters = 0;
    bool exact = false;
  };
  void compute(Automaton::State state);
  Room plain_room(Automaton::State state);
  size_t room_of_several(Automaton::State state);
  bool step_plain(Automaton::State from, std::vector<Automaton::State>& to);
  bool no_plain(Automaton::State from);
  void list_plain_steps();
  void walk(Automaton::State state, const Vocabulary::Trie& trie);
  void keep(Automaton::State state);

  std::shared_ptr<const Vocabulary> vocabulary_;
  Automaton& automaton_;
  std::vector<uint32_t> words_;
  std::unordered_map<Automaton::State, Kept> kept_;
  size_t kept_bytes_ = 0;
  std::vector<Automaton::State> path_;
  struct PlainStep {
    uint8_t byte;
    int to;
  };
  std::vector<PlainStep> plain_steps_[kPlainStates];  // one of each class of bytes
  std::unordered_map<Automaton::State, Room> plain_room_;
};

}  // namespace quern::grammar
