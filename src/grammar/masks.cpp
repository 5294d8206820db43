#include "grammar/masks.h"

#include <algorithm>
#include <bit>
#include <set>

namespace quern::grammar {
namespace {

constexpr size_t kMostFollowed = 256;  // states, where a character may lead to several

}  // namespace

Masks::Masks(std::shared_ptr<const Vocabulary> vocabulary, Automaton& automaton)
    : vocabulary_(std::move(vocabulary)),
      automaton_(automaton),
      words_((vocabulary_->n_vocab() + 31) / 32),
      path_(Vocabulary::kLongest + 1) {
  list_plain_steps();
}

const std::vector<uint32_t>& Masks::of(Automaton::State state) {
  const auto known = kept_.find(state);
  if (known != kept_.end()) {
    if (!known->second.words.empty()) return known->second.words;
    std::fill(words_.begin(), words_.end(), 0);
    for (const int32_t id : known->second.ids) words_[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
    return words_;
  }
  compute(state);
  if (!automaton_.exhausted()) keep(state);
  return words_;
}

void Masks::compute(Automaton::State state) {
  std::fill(words_.begin(), words_.end(), 0);
  const Room room = plain_room(state);
  vocabulary_->add_plain(room.characters, words_);
  for (const Vocabulary::Trie& trie : vocabulary_->tries()) {
    const bool plain = trie.max_characters > 0;
    if (!plain || (!room.exact && room.characters < trie.max_characters)) walk(state, trie);
  }
  if (!automaton_.accepts(state)) return;
  for (const int32_t id : vocabulary_->ends()) words_[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
}

void Masks::list_plain_steps() {
  for (int from = 0; from < kPlainStates; ++from) {
    std::set<std::pair<int, int>> known;  // classes of the automaton and states that follow
    for (unsigned b = 0; b < 256; ++b) {
      const auto byte = static_cast<uint8_t>(b);
      const int to = plain_next(from, byte);
      if (to >= 0 && known.insert({automaton_.class_of(byte), to}).second) plain_steps_[from].push_back({byte, to});
    }
  }
}

// The states after one plain character of any kind; false where one of them is dead.
bool Masks::step_plain(Automaton::State from, std::vector<Automaton::State>& to) {
  std::vector<std::pair<Automaton::State, int>> open{{from, 0}};
  for (size_t i = 0; i < open.size(); ++i) {
    const auto [state, plain] = open[i];
    for (const PlainStep step : plain_steps_[plain]) {
      const Automaton::State next = automaton_.next(state, step.byte);
      if (next == Automaton::kDead) return false;
      if (step.to != 0) {
        const std::pair<Automaton::State, int> at{next, step.to};
        if (std::find(open.begin(), open.end(), at) == open.end()) open.push_back(at);
      } else if (std::find(to.begin(), to.end(), next) == to.end()) {
        to.push_back(next);
      }
    }
  }
  return true;
}

// Whether no plain character may come.
bool Masks::no_plain(Automaton::State from) {
  return std::all_of(plain_steps_[0].begin(), plain_steps_[0].end(),
                     [&](const PlainStep step) { return automaton_.next(from, step.byte) == Automaton::kDead; });
}

// Where a character always leads to one state, as in strings of a bounded length, what follows from there is known or
// will be of use; where it leads to several, all of them are followed for as long as it matters.
Masks::Room Masks::plain_room(Automaton::State state) {
  std::vector<Automaton::State> chain;
  Room room;
  for (Automaton::State at = state;;) {
    const auto known = plain_room_.find(at);
    if (known != plain_room_.end()) {
      room = known->second;
      break;
    }
    std::vector<Automaton::State> after;
    if (!step_plain(at, after)) {
      room = {0, no_plain(at)};
    } else if (after.size() == 1 && after[0] == at) {
      room = {Vocabulary::kLongest, true};
    } else if (after.size() > 1 || chain.size() > Vocabulary::kLongest) {
      room = {room_of_several(at), false};
    } else {
      chain.push_back(at);
      at = after[0];
      continue;
    }
    plain_room_[at] = room;
    break;
  }
  for (; !chain.empty(); chain.pop_back()) {
    room.characters = std::min(room.characters + 1, Vocabulary::kLongest);
    plain_room_[chain.back()] = room;
  }
  return room;
}

size_t Masks::room_of_several(Automaton::State state) {
  std::vector<Automaton::State> now{state}, seen{state};
  for (size_t room = 0; room < Vocabulary::kLongest; ++room) {
    std::vector<Automaton::State> after, fresh;
    for (const Automaton::State s : now) {
      if (!step_plain(s, after)) return room;
    }
    for (const Automaton::State s : after) {
      if (std::find(seen.begin(), seen.end(), s) == seen.end()) fresh.push_back(s);
    }
    if (fresh.empty()) return Vocabulary::kLongest;
    if (seen.size() + fresh.size() > kMostFollowed) return room;  // less than there may be: the others are walked
    seen.insert(seen.end(), fresh.begin(), fresh.end());
    now = std::move(fresh);
  }
  return Vocabulary::kLongest;
}

void Masks::walk(Automaton::State state, const Vocabulary::Trie& trie) {
  path_[0] = state;
  const auto n = static_cast<uint32_t>(trie.nodes.size());
  for (uint32_t i = 0; i < n;) {
    const Vocabulary::Node& node = trie.nodes[i];
    const Automaton::State to = automaton_.next(path_[node.depth], node.byte);
    if (to == Automaton::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth + 1u] = to;
    if (node.token != 0) {
      for (auto id = static_cast<int32_t>(node.token - 1); id >= 0; id = vocabulary_->twin(id)) {
        words_[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
      }
    }
    ++i;
  }
}

void Masks::keep(Automaton::State state) {
  Kept kept;
  size_t n = 0;
  for (size_t i = 0; i < words_.size() && n <= kSparse; ++i) n += static_cast<size_t>(std::popcount(words_[i]));
  if (n <= kSparse) {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint32_t word = words_[i]; word != 0; word &= word - 1) {
        kept.ids.push_back(static_cast<int32_t>(i * 32 + static_cast<size_t>(std::countr_zero(word))));
      }
    }
  } else {
    kept.words = words_;
  }
  const size_t bytes = kept.words.size() * 4 + kept.ids.size() * 4 + 64;
  if (kept_bytes_ + bytes > kMaxBytes) {
    kept_.clear();
    kept_bytes_ = 0;
  }
  kept_bytes_ += bytes;
  kept_.emplace(state, std::move(kept));
}

}  // namespace quern::grammar
