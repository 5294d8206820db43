#include "grammar/masks.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

namespace quern::grammar {

Masks::Masks(std::shared_ptr<const Vocabulary> vocabulary, Automaton& automaton)
    : vocabulary_(std::move(vocabulary)),
      automaton_(automaton),
      words_((vocabulary_->n_vocab() + 31) / 32),
      path_(Vocabulary::kLongest + 1) {}

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
  bool all_shorter = true;
  for (const Vocabulary::Trie& trie : vocabulary_->tries()) {
    all_shorter = all_shorter && trie.max_characters > 0 && takes_plain(state, trie.max_characters);
    if (all_shorter) {
      for (size_t i = 0; i < words_.size(); ++i) words_[i] |= trie.words[i];
    } else {
      walk(state, trie);
    }
  }
  if (!automaton_.accepts(state)) return;
  for (const int32_t id : vocabulary_->ends()) words_[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
}

// Over pairs of states by number of characters: where one was met before, with fewer or as many, nothing new follows.
bool Masks::takes_plain(Automaton::State state, size_t max_characters) {
  using At = std::pair<Automaton::State, int>;
  std::vector<At> now{{state, 0}}, after;
  std::unordered_set<uint64_t> seen{uint64_t{state} * kPlainStates};
  for (size_t characters = 0; characters < max_characters && !now.empty(); ++characters) {
    after.clear();
    for (size_t i = 0; i < now.size(); ++i) {
      const auto [from, plain_from] = now[i];
      int before = -1;  // the last byte's class and state: neighbours have the same as a rule
      for (unsigned b = 0; b < 256; ++b) {
        const auto byte = static_cast<uint8_t>(b);
        const int plain = plain_next(plain_from, byte);
        if (plain < 0 || automaton_.class_of(byte) * kPlainStates + plain == before) continue;
        before = automaton_.class_of(byte) * kPlainStates + plain;
        const Automaton::State to = automaton_.next(from, byte);
        if (to == Automaton::kDead) return false;
        if (!seen.insert(uint64_t{to} * kPlainStates + static_cast<uint64_t>(plain)).second) continue;
        (plain == 0 ? after : now).push_back({to, plain});
      }
    }
    std::swap(now, after);
  }
  return true;
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
  for (const uint32_t word : words_) n += static_cast<size_t>(std::popcount(word));
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
