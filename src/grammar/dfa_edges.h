// What the files of Dfa share.
#pragma once

#include <vector>

#include "grammar/code_points.h"
#include "grammar/dfa.h"

namespace quern::grammar {

// Behind the others; with one that it touches and that leads to the same state, it is one.
inline void append_edge(std::vector<Dfa::Edge>& edges, const Dfa::Edge& edge) {
  if (!edges.empty() && edges.back().to == edge.to && code_point_after(edges.back().last) == edge.first) {
    edges.back().last = edge.last;
  } else {
    edges.push_back(edge);
  }
}

inline tl::unexpected<Error> too_large() {
  return fail_f(ErrorCode::kResource, "a pattern, length or format takes more than {} states: make it simpler",
                Dfa::kMaxStates);
}

// Those that `first` reaches, in the order in which it does, so that equal automata are written alike. In
// dfa_minimal.cpp.
std::vector<Dfa::State> in_order(std::vector<Dfa::State> states, uint32_t first);

}  // namespace quern::grammar
