#include "grammar/regex.h"

#include <algorithm>
#include <map>

#include "grammar/code_points.h"
#include "grammar/regex_parser.h"

namespace quern::grammar {
namespace {

// Steps that one pattern may take, so that a hostile one is refused in a fraction of a second.
constexpr size_t kMaxSteps = 1 << 23;
constexpr size_t kMaxNodes = 1 << 17;
constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

tl::unexpected<Error> too_large() {
  return fail(ErrorCode::kResource, "a pattern takes too many states: use smaller repetitions or fewer alternatives");
}

// Thompson's construction (Communications of the ACM 11, 1968), from the end to the beginning: each node knows what
// comes after it when it is made.
struct NfaNode {
  enum class Kind : uint8_t { kSet, kSplit, kBegin, kEnd, kAccept };
  Kind kind = Kind::kAccept;
  uint32_t set = 0;                      // kSet: of Nfa::sets
  uint32_t next = kNone, other = kNone;  // other: kSplit
};

struct Nfa {
  std::vector<NfaNode> nodes;
  std::vector<CodePoints> sets;
  uint32_t first = 0;
  uint32_t rest = kNone;  // when it is reached, any text may follow
};

class NfaBuilder {
 public:
  explicit NfaBuilder(RegexTree tree) : tree_(std::move(tree)) {}

  Result<Nfa> run(bool whole) {
    nfa_.sets = std::move(tree_.sets);
    const auto any = static_cast<uint32_t>(nfa_.sets.size());
    if (!whole) nfa_.sets.push_back({{0, kLastCodePoint}});
    uint32_t end = add({.kind = NfaNode::Kind::kAccept});
    if (!whole) end = nfa_.rest = loop(any, end);
    nfa_.first = compile(tree_.root, end);
    if (!whole) nfa_.first = loop(any, nfa_.first);
    if (exhausted()) return too_large();
    return std::move(nfa_);
  }

 private:
  [[nodiscard]] bool exhausted() const { return nfa_.nodes.size() > kMaxNodes || steps_ > kMaxSteps; }

  uint32_t add(const NfaNode& node) {
    nfa_.nodes.push_back(node);
    return static_cast<uint32_t>(nfa_.nodes.size() - 1);
  }

  // Any number of characters of the set, then `next`.
  uint32_t loop(uint32_t set, uint32_t next) {
    const uint32_t split = add({.kind = NfaNode::Kind::kSplit, .other = next});
    const uint32_t body = add({.kind = NfaNode::Kind::kSet, .set = set, .next = split});
    nfa_.nodes[split].next = body;
    return split;
  }

  uint32_t compile(uint32_t at, uint32_t next) {
    ++steps_;
    if (exhausted()) return next;
    const RegexNode& node = tree_.nodes[at];
    switch (node.kind) {
      case RegexNode::Kind::kSet:
        return add({.kind = NfaNode::Kind::kSet, .set = node.set, .next = next});
      case RegexNode::Kind::kBegin:
        return add({.kind = NfaNode::Kind::kBegin, .next = next});
      case RegexNode::Kind::kEnd:
        return add({.kind = NfaNode::Kind::kEnd, .next = next});
      case RegexNode::Kind::kSequence:
        for (size_t i = node.parts.size(); i-- > 0;) next = compile(node.parts[i], next);
        return next;
      case RegexNode::Kind::kChoice: {
        uint32_t made = compile(node.parts.back(), next);
        for (size_t i = node.parts.size() - 1; i-- > 0;) {
          const uint32_t part = compile(node.parts[i], next);
          made = add({.kind = NfaNode::Kind::kSplit, .next = part, .other = made});
        }
        return made;
      }
      case RegexNode::Kind::kRepeat:
        return repeat(node, next);
    }
    return next;
  }

  // x{2,4} is x x (x (x)?)?
  uint32_t repeat(const RegexNode& node, uint32_t next) {
    uint32_t made = next, least = node.least;
    if (node.most == RegexNode::kUnbounded) {
      made = add({.kind = NfaNode::Kind::kSplit, .other = next});
      const uint32_t body = compile(node.parts[0], made);
      nfa_.nodes[made].next = body;
      if (least > 0) {
        made = body;
        --least;
      }
    } else {
      for (uint32_t i = node.least; i < node.most && !exhausted(); ++i) {
        const uint32_t body = compile(node.parts[0], made);
        made = add({.kind = NfaNode::Kind::kSplit, .next = body, .other = next});
      }
    }
    for (uint32_t i = 0; i < least && !exhausted(); ++i) made = compile(node.parts[0], made);
    return made;
  }

  RegexTree tree_;
  Nfa nfa_;
  size_t steps_ = 0;
};

// The code points as letters: two are the same letter where every set holds both or neither.
class Alphabet {
 public:
  struct Piece {
    uint32_t first, last, letter;
  };

  // Steps are counted in `steps`; past kMaxSteps it is unfinished.
  Alphabet(const std::vector<CodePoints>& sets, size_t& steps) {
    std::vector<uint32_t> begins{0};
    for (const CodePoints& set : sets) {
      for (const auto& r : set) {
        begins.push_back(r.first);
        if (r.last < kLastCodePoint) begins.push_back(code_point_after(r.last));
      }
    }
    std::sort(begins.begin(), begins.end());
    begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
    for (size_t i = 0; i < begins.size(); ++i) {
      const uint32_t last = i + 1 < begins.size() ? code_point_before(begins[i + 1]) : kLastCodePoint;
      pieces.push_back({begins[i], last, 0});
    }
    for (const CodePoints& set : sets) {
      std::map<uint32_t, uint32_t> renamed;
      each_piece(set, steps, [&](Piece& p) {
        const auto [to, fresh] = renamed.try_emplace(p.letter, n_letters);
        if (fresh) ++n_letters;
        p.letter = to->second;
      });
    }
    compact();
    for (const CodePoints& set : sets) {
      std::vector<uint32_t>& letters = letters_of.emplace_back();
      each_piece(set, steps, [&](const Piece& p) { letters.push_back(p.letter); });
      std::sort(letters.begin(), letters.end());
      letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
    }
  }

  std::vector<Piece> pieces;                      // in order, all of the code points
  std::vector<std::vector<uint32_t>> letters_of;  // by set
  uint32_t n_letters = 1;

 private:
  template <typename Visit>
  void each_piece(const CodePoints& set, size_t& steps, Visit visit) {
    for (const auto& r : set) {
      auto at = std::lower_bound(pieces.begin(), pieces.end(), r.first,
                                 [](const Piece& p, uint32_t cp) { return p.first < cp; });
      for (; at != pieces.end() && at->first <= r.last; ++at) {
        if (++steps > kMaxSteps) return;
        visit(*at);
      }
    }
  }

  // Letters without pieces go.
  void compact() {
    std::map<uint32_t, uint32_t> numbers;
    for (Piece& p : pieces) {
      p.letter = numbers.try_emplace(p.letter, static_cast<uint32_t>(numbers.size())).first->second;
    }
    n_letters = static_cast<uint32_t>(numbers.size());
  }
};

// Subset construction. A state of the automaton is the set of kSet nodes that may read next, and whether the text may
// end here. The first state is no other's target: only there ^ holds.
class Subsets {
 public:
  explicit Subsets(const Nfa& nfa) : nfa_(nfa), letters_(nfa.sets, steps_), seen_(nfa.nodes.size()) {}

  Result<Dfa> run() {
    begin_ = true;
    add(closure({nfa_.first}));
    begin_ = false;
    for (size_t at = 0; at < subsets_.size(); ++at) {
      expand(at);
      if (steps_ > kMaxSteps || subsets_.size() > Dfa::kMaxStates || n_edges_ > Dfa::kMaxEdges) return too_large();
    }
    return Dfa::of(std::move(states_)).minimal();
  }

 private:
  using Nodes = std::vector<uint32_t>;
  struct Subset {
    Nodes nodes;
    bool accepts = false;
    auto operator<=>(const Subset&) const = default;
  };

  // What is reached without reading a character. `end`: $ holds too.
  void follow(const Nodes& from, bool end, Subset& to, bool& saw_end) {
    ++stamp_;
    Nodes work = from;
    while (!work.empty()) {
      const uint32_t at = work.back();
      work.pop_back();
      if (seen_[at] == stamp_) continue;
      seen_[at] = stamp_;
      ++steps_;
      const NfaNode& node = nfa_.nodes[at];
      switch (node.kind) {
        case NfaNode::Kind::kSet:
          if (!end) to.nodes.push_back(at);
          break;
        case NfaNode::Kind::kSplit:
          work.push_back(node.next);
          work.push_back(node.other);
          break;
        case NfaNode::Kind::kBegin:
          if (begin_) work.push_back(node.next);
          break;
        case NfaNode::Kind::kEnd:
          saw_end = true;
          if (end) work.push_back(node.next);
          break;
        case NfaNode::Kind::kAccept:
          to.accepts = true;
          break;
      }
    }
  }

  Subset closure(const Nodes& from) {
    Subset made;
    bool saw_end = false;
    follow(from, false, made, saw_end);
    // Past the match nothing matters.
    if (nfa_.rest != kNone && seen_[nfa_.rest] == stamp_) return {{nfa_.nodes[nfa_.rest].next}, true};
    if (!made.accepts && saw_end) follow(from, true, made, saw_end);
    std::sort(made.nodes.begin(), made.nodes.end());
    return made;
  }

  uint32_t add(Subset subset) {
    subsets_.push_back(std::move(subset));
    states_.push_back({.edges = {}, .accepts = subsets_.back().accepts});
    return static_cast<uint32_t>(states_.size() - 1);
  }

  uint32_t target(Nodes from) {
    std::sort(from.begin(), from.end());
    from.erase(std::unique(from.begin(), from.end()), from.end());
    steps_ += from.size();
    const auto known = targets_.find(from);
    if (known != targets_.end()) return known->second;
    Subset subset = closure(from);
    const auto [at, fresh] = numbers_.try_emplace(subset, static_cast<uint32_t>(states_.size()));
    if (fresh) add(std::move(subset));
    targets_.emplace(std::move(from), at->second);
    return at->second;
  }

  void expand(size_t at) {
    std::vector<Nodes> moves(letters_.n_letters);
    for (const uint32_t n : subsets_[at].nodes) {
      for (const uint32_t letter : letters_.letters_of[nfa_.nodes[n].set]) moves[letter].push_back(nfa_.nodes[n].next);
      steps_ += letters_.letters_of[nfa_.nodes[n].set].size();
      if (steps_ > kMaxSteps) return;
    }
    std::vector<uint32_t> to(letters_.n_letters, kNone);
    for (uint32_t letter = 0; letter < letters_.n_letters; ++letter) {
      if (!moves[letter].empty()) to[letter] = target(std::move(moves[letter]));
    }
    std::vector<Dfa::Edge>& edges = states_[at].edges;
    for (const auto& piece : letters_.pieces) {
      const uint32_t next = to[piece.letter];
      if (next == kNone) continue;
      if (!edges.empty() && edges.back().to == next && code_point_after(edges.back().last) == piece.first) {
        edges.back().last = piece.last;
      } else {
        edges.push_back({piece.first, piece.last, next});
      }
    }
    steps_ += letters_.pieces.size();
    n_edges_ += edges.size();
  }

  const Nfa& nfa_;
  size_t steps_ = 0;
  const Alphabet letters_;
  bool begin_ = false;
  std::vector<uint32_t> seen_;  // by node: the last stamp_ at which it was reached
  uint32_t stamp_ = 0;
  std::vector<Subset> subsets_;
  std::vector<Dfa::State> states_;
  std::map<Subset, uint32_t> numbers_;
  std::map<Nodes, uint32_t> targets_;
  size_t n_edges_ = 0;
};

}  // namespace

Result<Dfa> regex_dfa(std::string_view pattern, const RegexOptions& options) {
  QUERN_TRY(RegexTree tree, parse_regex(pattern));
  QUERN_TRY(const Nfa nfa, NfaBuilder(std::move(tree)).run(options.whole));
  return Subsets(nfa).run();
}

}  // namespace quern::grammar
