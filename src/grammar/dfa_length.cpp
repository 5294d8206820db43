// Dfa::of_length. A state for each state of the automaton and each number of characters with which it is reached, made
// from the longest texts to the shortest: what a state leads to is there before it, so equal ones are found at once and
// the automaton is minimal as it is made (Revuz, as in dfa_minimal.cpp).
#include <algorithm>
#include <optional>
#include <unordered_set>

#include "grammar/dfa.h"
#include "grammar/dfa_edges.h"

namespace quern::grammar {
namespace {

using Edge = Dfa::Edge;
using State = Dfa::State;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// The states that texts of 0, 1, ... characters lead to, up to `most` of these, or to fewer where all states, told
// apart by the number, would be more than kMaxStates or have more than kMaxEdges edges.
using Layers = std::vector<std::vector<uint32_t>>;

Layers layers_of(const std::vector<State>& states, size_t most) {
  Layers layers{{0}};
  std::vector<size_t> seen(states.size());
  size_t n_states = 1, n_edges = 0;
  for (size_t length = 1; length <= most && !layers.back().empty(); ++length) {
    std::vector<uint32_t> next;
    for (const uint32_t s : layers.back()) {
      n_edges += states[s].edges.size();
      for (const Edge& e : states[s].edges) {
        if (seen[e.to] == length) continue;
        seen[e.to] = length;
        next.push_back(e.to);
      }
    }
    n_states += next.size();
    if (n_states > Dfa::kMaxStates || n_edges > Dfa::kMaxEdges) break;
    layers.push_back(std::move(next));
  }
  return layers;
}

// Characters of the longest text, if there is one: longer than there are states, a text goes in a circle.
std::optional<size_t> longest_text(const std::vector<State>& states) {
  std::vector<size_t> longest(states.size());
  std::vector<uint32_t> open(states.size()), order;
  for (const State& s : states) {
    for (const Edge& e : s.edges) ++open[e.to];
  }
  if (open[0] > 0) return std::nullopt;
  order.push_back(0);
  for (size_t i = 0; i < order.size(); ++i) {
    for (const Edge& e : states[order[i]].edges) {
      longest[e.to] = std::max(longest[e.to], longest[order[i]] + 1);
      if (--open[e.to] == 0) order.push_back(e.to);
    }
  }
  if (order.size() < states.size()) return std::nullopt;
  return *std::max_element(longest.begin(), longest.end());
}

// Characters of the shortest text.
size_t shortest_text(const std::vector<State>& states) {
  std::vector<bool> seen(states.size());
  std::vector<uint32_t> layer{0}, next;
  for (size_t length = 0; !layer.empty(); ++length) {
    next.clear();
    for (const uint32_t s : layer) {
      if (states[s].accepts) return length;
      for (const Edge& e : states[s].edges) {
        if (!seen[e.to]) next.push_back(e.to);
        seen[e.to] = true;
      }
    }
    layer.swap(next);
  }
  return 0;
}

// States that are made once.
class States {
 public:
  uint32_t number(State state) {
    if (state.edges.empty() && !state.accepts) return kNone;
    made.push_back(std::move(state));
    const auto [at, fresh] = known_.insert(static_cast<uint32_t>(made.size() - 1));
    if (!fresh) made.pop_back();
    return *at;
  }

  std::vector<State> made;

 private:
  struct Hash {
    const std::vector<State>* of;
    size_t operator()(uint32_t s) const {
      uint64_t h = (*of)[s].accepts;
      for (const Edge& e : (*of)[s].edges) {
        h = (h ^ (uint64_t{e.first} << 32 | e.to)) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
      }
      return h;
    }
  };
  struct Equal {
    const std::vector<State>* of;
    bool operator()(uint32_t a, uint32_t b) const {
      return (*of)[a].accepts == (*of)[b].accepts && (*of)[a].edges == (*of)[b].edges;
    }
  };
  std::unordered_set<uint32_t, Hash, Equal> known_{64, Hash{&made}, Equal{&made}};
};

// Texts of `least` to as many characters as there are layers; the first state is the last that is made.
std::vector<State> counted(const std::vector<State>& states, const Layers& layers, size_t least) {
  States all;
  std::vector<uint32_t> here, next(states.size(), kNone);
  for (size_t length = layers.size(); length-- > 0;) {
    here.assign(states.size(), kNone);
    for (const uint32_t s : layers[length]) {
      State state{.edges = {}, .accepts = states[s].accepts && length >= least};
      for (const Edge& e : states[s].edges) {
        if (next[e.to] != kNone) append_edge(state.edges, {e.first, e.last, next[e.to]});
      }
      here[s] = all.number(std::move(state));
    }
    here.swap(next);
  }
  if (all.made.empty()) return {};
  const auto first = static_cast<uint32_t>(all.made.size() - 1);
  return in_order(std::move(all.made), first);
}

}  // namespace

Result<Dfa> Dfa::of_length(size_t least, size_t most) const {
  const Dfa all = minimal();
  const std::optional<size_t> longest = longest_text(all.states_);
  if (least <= shortest_text(all.states_) && most >= longest.value_or(IrBuilder::kUnbounded)) return all;
  if (longest) most = std::min(most, *longest);
  if (most == IrBuilder::kUnbounded) {
    QUERN_TRY(const Dfa within, length(least, most));
    return intersection(all, within);
  }
  const Layers layers = layers_of(all.states_, most);
  std::vector<State> made = counted(all.states_, layers, least);
  const bool whole = layers.size() > most || layers.back().empty();
  if (made.empty() && !whole) return too_large();
  Dfa within = of(std::move(made));
  within.is_minimal_ = true;
  return within;
}

}  // namespace quern::grammar
