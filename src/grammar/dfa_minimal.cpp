// Dfa::minimal. Without circles, states are merged from the last to the first: two with the same edges are one (Revuz,
// "Minimisation of acyclic deterministic automata in linear time", 1992). Otherwise states are parted into blocks until
// all of a block have the same edges, seen as edges to blocks. When a block splits, its largest part keeps its number
// and only what leads to the others is looked at again: a state is renumbered at most log n times, so the whole takes
// O(e log n) steps (the idea of Hopcroft, "An n log n algorithm for minimizing states in a finite automaton", 1971, for
// edges that are ranges).
#include <algorithm>
#include <map>

#include "grammar/code_points.h"
#include "grammar/dfa.h"
#include "grammar/dfa_edges.h"

namespace quern::grammar {
namespace {

using Edge = Dfa::Edge;
using State = Dfa::State;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// Which states lead to each.
std::vector<std::vector<uint32_t>> predecessors(const std::vector<State>& states) {
  std::vector<std::vector<uint32_t>> from(states.size());
  for (uint32_t s = 0; s < states.size(); ++s) {
    for (const Edge& e : states[s].edges) {
      if (from[e.to].empty() || from[e.to].back() != s) from[e.to].push_back(s);
    }
  }
  return from;
}

// Only the states that the first one reaches and from which a text can end, with the edges between them.
std::vector<State> trimmed(const std::vector<State>& states) {
  const auto from = predecessors(states);
  std::vector<bool> ends(states.size());
  std::vector<uint32_t> work;
  const auto mark = [&](uint32_t s) {
    if (!ends[s]) work.push_back(s);
    ends[s] = true;
  };
  for (uint32_t s = 0; s < states.size(); ++s) {
    if (states[s].accepts) mark(s);
  }
  while (!work.empty()) {
    const uint32_t s = work.back();
    work.pop_back();
    for (const uint32_t p : from[s]) mark(p);
  }

  std::vector<uint32_t> number(states.size(), kNone), order{0};
  number[0] = 0;
  std::vector<State> kept;
  for (size_t i = 0; i < order.size(); ++i) {
    State state{.edges = {}, .accepts = states[order[i]].accepts};
    for (const Edge& e : states[order[i]].edges) {
      if (!ends[e.to]) continue;
      if (number[e.to] == kNone) {
        number[e.to] = static_cast<uint32_t>(order.size());
        order.push_back(e.to);
      }
      state.edges.push_back({e.first, e.last, number[e.to]});
    }
    kept.push_back(std::move(state));
  }
  return kept;
}

class Minimizer {
 public:
  explicit Minimizer(const std::vector<State>& states)
      : states_(states),
        from_(predecessors(states)),
        block_(states.size()),
        place_(states.size()),
        dirty_(states.size()) {
    blocks_.resize(2);
    for (uint32_t s = 0; s < states.size(); ++s) put(s, states[s].accepts ? 1 : 0);
    for (uint32_t s = 0; s < states.size(); ++s) set_dirty(s);
  }

  std::vector<State> run() {
    while (!queue_.empty()) {
      const uint32_t b = queue_.back();
      queue_.pop_back();
      split(b);
    }
    return quotient();
  }

 private:
  using Edges = std::vector<Edge>;
  struct Block {
    std::vector<uint32_t> members, dirty;
  };

  void put(uint32_t s, uint32_t b) {
    block_[s] = b;
    place_[s] = blocks_[b].members.size();
    blocks_[b].members.push_back(s);
  }

  void move(uint32_t s, uint32_t to) {
    std::vector<uint32_t>& members = blocks_[block_[s]].members;
    const uint32_t last = members.back();
    members[place_[s]] = last;
    place_[last] = place_[s];
    members.pop_back();
    put(s, to);
  }

  // The edges lead to blocks now; neighbours that lead to the same one are one.
  [[nodiscard]] Edges edges_to_blocks(uint32_t s) const {
    Edges edges;
    for (const Edge& e : states_[s].edges) append_edge(edges, {e.first, e.last, block_[e.to]});
    return edges;
  }

  void set_dirty(uint32_t s) {
    if (dirty_[s]) return;
    dirty_[s] = true;
    Block& block = blocks_[block_[s]];
    if (block.dirty.empty()) queue_.push_back(block_[s]);
    block.dirty.push_back(s);
  }

  // Members that are not dirty have the same edges as when the block was last looked at, so they stay together.
  void split(uint32_t b) {
    std::vector<uint32_t> dirty;
    dirty.swap(blocks_[b].dirty);
    const std::vector<uint32_t>& members = blocks_[b].members;
    std::map<Edges, std::vector<uint32_t>> parts;
    const auto clean = std::find_if(members.begin(), members.end(), [&](uint32_t s) { return !dirty_[s]; });
    const std::vector<uint32_t>* clean_part = nullptr;
    if (clean != members.end()) clean_part = &parts[edges_to_blocks(*clean)];
    for (const uint32_t s : dirty) parts[edges_to_blocks(s)].push_back(s);
    const size_t n_clean = members.size() - dirty.size();
    const auto size = [&](const std::vector<uint32_t>& part) {
      return part.size() + (&part == clean_part ? n_clean : 0);
    };
    const std::vector<uint32_t>* largest = nullptr;
    for (const auto& [edges, part] : parts) {
      if (largest == nullptr || size(part) > size(*largest)) largest = &part;
    }
    std::vector<std::vector<uint32_t>> leaving;
    for (const auto& [edges, part] : parts) {
      if (&part == largest) continue;
      leaving.push_back(part);
      if (&part != clean_part) continue;
      for (const uint32_t s : members) {
        if (!dirty_[s]) leaving.back().push_back(s);
      }
    }
    for (const uint32_t s : dirty) dirty_[s] = false;
    for (const auto& part : leaving) {
      const auto fresh = static_cast<uint32_t>(blocks_.size());
      blocks_.emplace_back();
      for (const uint32_t s : part) move(s, fresh);
    }
    for (const auto& part : leaving) {
      for (const uint32_t s : part) {
        for (const uint32_t p : from_[s]) set_dirty(p);
      }
    }
  }

  [[nodiscard]] std::vector<State> quotient() const {
    std::vector<State> states(blocks_.size());
    for (size_t b = 0; b < blocks_.size(); ++b) {
      if (blocks_[b].members.empty()) continue;
      const uint32_t member = blocks_[b].members[0];
      states[b] = {.edges = edges_to_blocks(member), .accepts = states_[member].accepts};
    }
    return in_order(std::move(states), block_[0]);
  }

  const std::vector<State>& states_;
  const std::vector<std::vector<uint32_t>> from_;
  std::vector<uint32_t> block_;  // by state
  std::vector<size_t> place_;    // by state: where in its block
  std::vector<bool> dirty_;      // by state: whether an edge's block changed since its own block was looked at
  std::vector<Block> blocks_;
  std::vector<uint32_t> queue_;  // blocks with dirty states
};

// Each state behind all that it leads to; empty where there is a circle.
std::vector<uint32_t> from_the_ends(const std::vector<State>& states) {
  const auto from = predecessors(states);
  std::vector<uint32_t> open(states.size()), order;
  for (const auto& users : from) {
    for (const uint32_t user : users) ++open[user];
  }
  for (uint32_t s = 0; s < states.size(); ++s) {
    if (open[s] == 0) order.push_back(s);
  }
  for (size_t i = 0; i < order.size(); ++i) {
    for (const uint32_t user : from[order[i]]) {
      if (--open[user] == 0) order.push_back(user);
    }
  }
  if (order.size() < states.size()) order.clear();
  return order;
}

std::vector<State> merged(const std::vector<State>& states, const std::vector<uint32_t>& order) {
  std::map<std::pair<bool, std::vector<Edge>>, uint32_t> known;
  std::vector<uint32_t> number(states.size());
  std::vector<State> made;
  for (const uint32_t s : order) {
    State state{.edges = {}, .accepts = states[s].accepts};
    for (const Edge& e : states[s].edges) append_edge(state.edges, {e.first, e.last, number[e.to]});
    const auto [at, fresh] = known.try_emplace({state.accepts, state.edges}, static_cast<uint32_t>(made.size()));
    number[s] = at->second;
    if (fresh) made.push_back(std::move(state));
  }
  return in_order(std::move(made), number[0]);
}

}  // namespace

std::vector<State> in_order(std::vector<State> states, uint32_t first) {
  std::vector<uint32_t> number(states.size(), kNone), order{first};
  number[first] = 0;
  std::vector<State> made;
  for (size_t i = 0; i < order.size(); ++i) {
    State state = std::move(states[order[i]]);
    for (Edge& e : state.edges) {
      if (number[e.to] == kNone) {
        number[e.to] = static_cast<uint32_t>(order.size());
        order.push_back(e.to);
      }
      e.to = number[e.to];
    }
    made.push_back(std::move(state));
  }
  return made;
}

Dfa Dfa::minimal() const {
  if (is_minimal_) return *this;
  const std::vector<State> live = trimmed(states_);
  const std::vector<uint32_t> order = from_the_ends(live);
  Dfa made = of(order.empty() ? Minimizer(live).run() : merged(live, order));
  made.is_minimal_ = true;
  return made;
}

}  // namespace quern::grammar
