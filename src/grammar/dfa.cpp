#include "grammar/dfa.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "grammar/code_points.h"
#include "grammar/dfa_edges.h"
#include "grammar/json_spelling.h"
#include "text/utf8.h"

namespace quern::grammar {
namespace {

using Edge = Dfa::Edge;
using State = Dfa::State;

constexpr uint32_t kNoState = std::numeric_limits<uint32_t>::max();

void append_edge(State& state, const Edge& edge) {
  append_edge(state.edges, edge);
}

Result<Dfa> bounded(const Dfa& dfa) {
  Dfa minimal = dfa.minimal();
  if (minimal.states().size() > Dfa::kMaxStates) return too_large();
  return minimal;
}

// Two automata side by side. A state is a pair, of which one may have died where either's text will do.
class Product {
 public:
  Product(const Dfa& a, const Dfa& b, bool both) : a_(a.states()), b_(b.states()), both_(both) {}

  Result<Dfa> run() {
    number(0, 0);
    for (size_t at = 0; at < pairs_.size(); ++at) {
      if (pairs_.size() > kMaxPairs || n_edges_ > Dfa::kMaxEdges) return too_large();
      expand(at);
    }
    return bounded(Dfa::of(std::move(states_)));
  }

 private:
  static constexpr size_t kMaxPairs = 5 * Dfa::kMaxStates;
  struct Target {
    uint32_t a, b, number;
  };

  static bool accepts(const std::vector<State>& states, uint32_t s) { return s != kNoState && states[s].accepts; }
  static std::span<const Edge> edges(const std::vector<State>& states, uint32_t s) {
    return s == kNoState ? std::span<const Edge>() : std::span(states[s].edges);
  }

  uint32_t number(uint32_t a, uint32_t b) {
    const auto [at, fresh] = numbers_.try_emplace(uint64_t{a} << 32 | b, static_cast<uint32_t>(pairs_.size()));
    if (fresh) {
      pairs_.push_back({a, b});
      const bool in_a = accepts(a_, a), in_b = accepts(b_, b);
      states_.push_back({.edges = {}, .accepts = both_ ? in_a && in_b : in_a || in_b});
    }
    return at->second;
  }

  // number(), for a pair that few others of the same state lie before.
  uint32_t target(uint32_t a, uint32_t b) {
    for (const Target& t : seen_) {
      if (t.a == a && t.b == b) return t.number;
    }
    const uint32_t made = number(a, b);
    if (seen_.size() < 8) seen_.push_back({a, b, made});
    return made;
  }

  // Goes over the stretches of code points in which neither's edge changes.
  void expand(size_t at) {
    const auto [a, b] = pairs_[at];
    seen_.clear();
    const auto of_a = edges(a_, a), of_b = edges(b_, b);
    size_t i = 0, j = 0;
    uint32_t from = 0;
    while (i < of_a.size() || j < of_b.size()) {
      const uint32_t next_a = i < of_a.size() ? std::max(from, of_a[i].first) : kNoState;
      const uint32_t next_b = j < of_b.size() ? std::max(from, of_b[j].first) : kNoState;
      const uint32_t first = std::min(next_a, next_b);
      const bool in_a = next_a == first, in_b = next_b == first;
      const uint32_t last =
          std::min(in_a ? of_a[i].last : code_point_before(next_a), in_b ? of_b[j].last : code_point_before(next_b));
      if (both_ ? in_a && in_b : true) {
        const uint32_t to = target(in_a ? of_a[i].to : kNoState, in_b ? of_b[j].to : kNoState);
        append_edge(states_[at], {first, last, to});
      }
      from = code_point_after(last);
      if (in_a && of_a[i].last == last) ++i;
      if (in_b && of_b[j].last == last) ++j;
    }
    n_edges_ += states_[at].edges.size();
  }

  const std::vector<State>&a_, &b_;
  bool both_;
  std::unordered_map<uint64_t, uint32_t> numbers_;
  std::vector<std::pair<uint32_t, uint32_t>> pairs_;
  std::vector<Target> seen_;  // targets of the state that is expanded
  std::vector<State> states_;
  size_t n_edges_ = 0;
};

// Control characters, '"' and '\'.
const CodePoints kEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};

char short_escape(uint32_t cp) {
  switch (cp) {
    case '\n':
      return 'n';
    case '\t':
      return 't';
    case '\r':
      return 'r';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '"':
    case '\\':
      return static_cast<char>(cp);
    default:
      return 0;
  }
}

Symbol plain_characters(const CodePoints& set, IrBuilder& to) {
  return to.characters(set);
}

Symbol json_characters(const CodePoints& set, IrBuilder& to) {
  std::vector<Symbol> choices;
  ByteSet escapes, hex[2];  // behind '\'; behind \u000 and \u001
  for (const auto& range : kEscaped) {
    for (uint32_t cp = range.first; cp <= range.last; ++cp) {
      if (!contains(set, cp)) continue;
      const char letter = short_escape(cp);
      ByteSet& behind = letter != 0 ? escapes : hex[cp >> 4];
      behind |= ByteSet::one(static_cast<uint8_t>(letter != 0 ? letter : "0123456789abcdef"[cp & 15]));
    }
  }
  if (!escapes.empty()) choices.push_back(to.sequence({to.literal("\\"), to.bytes(escapes)}));
  if (!hex[0].empty()) choices.push_back(to.sequence({to.literal("\\u000"), to.bytes(hex[0])}));
  if (!hex[1].empty()) choices.push_back(to.sequence({to.literal("\\u001"), to.bytes(hex[1])}));
  CodePoints plain = difference(set, kEscaped);
  // Where only a few rare characters will do, as in a listed text, a vocabulary may need their escapes.
  constexpr size_t kFew = 16;
  const CodePoints rare = difference(plain, {{0, kFirstRareCharacter - 1}});
  size_t n_rare = 0;
  for (const auto& range : rare) n_rare += range.last - range.first + 1;
  if (n_rare > 0 && n_rare <= kFew) {
    for (const auto& range : rare) {
      for (uint32_t cp = range.first; cp <= range.last; ++cp) choices.push_back(json_character(cp, to));
    }
    plain = difference(plain, rare);
  }
  if (!plain.empty()) choices.push_back(to.characters(plain));
  return to.choice(choices);
}

// A rule a state; a set of characters is spelled once, however many states have it.
Symbol write_states(const Dfa& dfa, Symbol (*spell)(const CodePoints&, IrBuilder&), IrBuilder& to) {
  const std::vector<State>& states = dfa.states();
  std::map<CodePoints, Symbol> spelled;
  std::vector<Symbol> rules(states.size());
  for (Symbol& rule : rules) rule = to.rule();
  for (size_t s = 0; s < states.size(); ++s) {
    std::map<uint32_t, CodePoints> by_target;
    for (const Edge& e : states[s].edges) by_target[e.to].push_back({e.first, e.last});
    for (const auto& [target, set] : by_target) {
      auto known = spelled.find(set);
      if (known == spelled.end()) known = spelled.emplace(set, spell(set, to)).first;
      to.add(rules[s], {known->second, rules[target]});
    }
    if (states[s].accepts) to.add(rules[s], std::span<const Symbol>());
  }
  return rules[0];
}

}  // namespace

Dfa::Dfa(std::vector<State> states) : states_(std::move(states)) {
  if (states_.empty()) states_.emplace_back();
}

Dfa Dfa::any() {
  return of({{.edges = {{0, kLastCodePoint, 0}}, .accepts = true}});
}

// In order of their code points, which is that of the bytes, texts share the edge that was made last.
Result<Dfa> Dfa::texts(std::span<const std::string_view> texts) {
  std::vector<std::string_view> sorted(texts.begin(), texts.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<State> trie(1);
  for (const std::string_view text : sorted) {
    uint32_t at = 0;
    for (size_t pos = 0; pos < text.size();) {
      const Utf8Char c = utf8_decode(text, pos);
      if (!c.valid) return fail_f(ErrorCode::kInvalidArgument, "a text is not UTF-8 at byte {}", pos);
      pos += c.len;
      if (trie[at].edges.empty() || trie[at].edges.back().first != c.cp) {
        trie[at].edges.push_back({c.cp, c.cp, static_cast<uint32_t>(trie.size())});
        trie.emplace_back();
      }
      at = trie[at].edges.back().to;
      if (trie.size() > kMaxEdges) return too_large();
    }
    trie[at].accepts = true;
  }
  return bounded(of(std::move(trie)));
}

Result<Dfa> Dfa::length(size_t least, size_t most) {
  if (most < least) return of({});
  const size_t n = most == IrBuilder::kUnbounded ? least : most;
  if (n >= kMaxStates) return too_large();
  std::vector<State> states(n + 1);
  for (size_t i = 0; i <= n; ++i) {
    const size_t next = i < n ? i + 1 : i;
    if (i < n || most == IrBuilder::kUnbounded) {
      states[i].edges.push_back({0, kLastCodePoint, static_cast<uint32_t>(next)});
    }
    states[i].accepts = i >= least;
  }
  return of(std::move(states));
}

Result<Dfa> Dfa::intersection(const Dfa& a, const Dfa& b) {
  return Product(a, b, true).run();
}

Result<Dfa> Dfa::join(const Dfa& a, const Dfa& b) {
  return Product(a, b, false).run();
}

// What has no edge goes to a state of its own, which accepts from then on.
Result<Dfa> Dfa::complement() const {
  const auto sink = static_cast<uint32_t>(states_.size());
  std::vector<State> states(states_.size());
  size_t n_edges = 0;
  for (size_t s = 0; s < states_.size(); ++s) {
    uint32_t from = 0;
    for (const Edge& e : states_[s].edges) {
      if (e.first > from) append_edge(states[s], {from, code_point_before(e.first), sink});
      append_edge(states[s], e);
      from = code_point_after(e.last);
    }
    if (from <= kLastCodePoint) append_edge(states[s], {from, kLastCodePoint, sink});
    states[s].accepts = !states_[s].accepts;
    n_edges += states[s].edges.size();
  }
  if (n_edges > kMaxEdges) return too_large();
  states.push_back({.edges = {{0, kLastCodePoint, sink}}, .accepts = true});
  return bounded(of(std::move(states)));
}

bool Dfa::matches(std::string_view utf8) const {
  uint32_t at = 0;
  for (size_t pos = 0; pos < utf8.size();) {
    const Utf8Char c = utf8_decode(utf8, pos);
    if (!c.valid) return false;
    pos += c.len;
    const std::vector<Edge>& edges = states_[at].edges;
    const auto after =
        std::upper_bound(edges.begin(), edges.end(), c.cp, [](uint32_t cp, const Edge& e) { return cp < e.first; });
    if (after == edges.begin() || std::prev(after)->last < c.cp) return false;
    at = std::prev(after)->to;
  }
  return states_[at].accepts;
}

bool Dfa::empty() const {
  const Dfa small = minimal();
  return small.states_.size() == 1 && !small.states_[0].accepts;
}

Symbol Dfa::write(IrBuilder& to) const {
  return is_minimal_ ? write_states(*this, plain_characters, to) : write_states(minimal(), plain_characters, to);
}

Symbol Dfa::write_json(IrBuilder& to) const {
  return is_minimal_ ? write_states(*this, json_characters, to) : write_states(minimal(), json_characters, to);
}

}  // namespace quern::grammar
