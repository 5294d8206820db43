#include "grammar/ir.h"

#include <algorithm>
#include <numeric>

#include "base/result.h"

namespace quern::grammar {

Symbol IrBuilder::rule() {
  return {Symbol::Kind::kRule, n_rules_++};
}

void IrBuilder::add(Symbol rule, std::span<const Symbol> alternative) {
  if (symbols_.size() + alternative.size() > kMaxSymbols || alternatives_.size() >= kMaxSymbols) {
    too_large_ = true;
    return;
  }
  const auto first = static_cast<uint32_t>(symbols_.size());
  symbols_.insert(symbols_.end(), alternative.begin(), alternative.end());
  alternatives_.push_back({rule.index, first, static_cast<uint32_t>(symbols_.size())});
}

Symbol IrBuilder::bytes(const ByteSet& set) {
  const auto [at, fresh] = set_index_.try_emplace(set, static_cast<uint32_t>(sets_.size()));
  if (fresh) sets_.push_back(set);
  return {Symbol::Kind::kBytes, at->second};
}

Symbol IrBuilder::literal(std::string_view text) {
  const auto known = literals_.find(text);
  if (known != literals_.end()) return known->second;
  Sequence all;
  all.reserve(text.size());
  for (const char c : text) all.push_back(bytes(ByteSet::one(static_cast<uint8_t>(c))));
  const Symbol made = all.size() == 1 ? all[0] : sequence(all);
  literals_.emplace(text, made);
  return made;
}

Symbol IrBuilder::special(std::string_view text) {
  return choice({literal(static_cast<char>(kSpecialByte) + std::string(text)), literal(text)});
}

Symbol IrBuilder::sequence(std::span<const Symbol> symbols) {
  if (symbols.size() == 1) return symbols[0];
  const Symbol made = rule();
  add(made, symbols);
  return made;
}

Symbol IrBuilder::choice(std::span<const Symbol> symbols) {
  if (symbols.size() == 1) return symbols[0];
  const Symbol made = rule();
  for (const Symbol s : symbols) add(made, {s});
  return made;
}

Symbol IrBuilder::empty() {
  return literal("");
}

// x{2,4} is x x (x (x)?)?: each rule ends with the next, so the stack of who follows it does not grow.
Symbol IrBuilder::repeat(Symbol symbol, size_t least, size_t most) {
  if (most < least) return rule();  // matches nothing
  Symbol rest = empty();
  if (most == kUnbounded) {
    rest = rule();
    add(rest, {symbol, rest});
    add(rest, std::span<const Symbol>{});
  } else {
    for (size_t i = least; i < most && !too_large_; ++i) {
      const Symbol next = rule();
      add(next, {symbol, rest});
      add(next, std::span<const Symbol>{});
      rest = next;
    }
  }
  for (size_t i = 0; i < least && !too_large_; ++i) {
    const Symbol next = rule();
    add(next, {symbol, rest});
    rest = next;
  }
  return rest;
}

std::vector<Utf8Sequence> utf8_sequences(uint32_t first, uint32_t last) {
  std::vector<Utf8Sequence> found;
  // Pieces within which all code points have the same number of bytes and, but for the last ones, the same bytes.
  constexpr uint32_t kEnds[] = {0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF, 0x10FFFF};
  std::vector<IrBuilder::Range> pieces;
  uint32_t from = 0;
  for (const uint32_t end : kEnds) {
    const uint32_t a = std::max(first, from), b = std::min(last, end);
    if (a <= b && end != 0xDFFF) pieces.push_back({a, b});
    from = end + 1;
  }
  while (!pieces.empty()) {
    const auto [a, b] = pieces.back();
    pieces.pop_back();
    const unsigned n = a < 0x80 ? 1 : a < 0x800 ? 2 : a < 0x10000 ? 3 : 4;
    bool split = false;
    for (unsigned tail = 1; tail < n && !split; ++tail) {
      const uint32_t low = (1u << (6 * tail)) - 1;
      if ((a & ~low) == (b & ~low)) continue;  // the bytes before the last `tail` are the same
      if ((a & low) != 0) {
        pieces.push_back({(a | low) + 1, b});
        pieces.push_back({a, a | low});
        split = true;
      } else if ((b & low) != low) {
        pieces.push_back({b & ~low, b});
        pieces.push_back({a, (b & ~low) - 1});
        split = true;
      }
    }
    if (split) continue;
    Utf8Sequence s{.bytes = {}, .n = n};
    constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (unsigned i = 0; i < n; ++i) {
      const unsigned shift = 6 * (n - 1 - i);
      const uint32_t mask = i == 0 ? 0xFF : 0x3F;
      const uint32_t lead = i == 0 ? kLead[n] : 0x80;
      s.bytes[i] = {static_cast<uint8_t>(lead | ((a >> shift) & mask)),
                    static_cast<uint8_t>(lead | ((b >> shift) & mask))};
    }
    found.push_back(s);
  }
  return found;
}

namespace {

// In order, disjoint, without surrogates.
std::vector<IrBuilder::Range> normal(std::span<const IrBuilder::Range> ranges, bool negated) {
  std::vector<IrBuilder::Range> sorted(ranges.begin(), ranges.end()), merged;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto r : sorted) {
    r.last = std::min(r.last, 0x10FFFFu);
    if (r.first > r.last) continue;
    if (!merged.empty() && r.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, r.last);
    } else {
      merged.push_back(r);
    }
  }
  if (!negated) return merged;
  std::vector<IrBuilder::Range> others;
  uint32_t from = 0;
  for (const auto& r : merged) {
    if (r.first > from) others.push_back({from, r.first - 1});
    from = r.last + 1;
  }
  if (from <= 0x10FFFF) others.push_back({from, 0x10FFFF});
  return others;
}

}  // namespace

Symbol IrBuilder::characters(std::span<const Range> ranges, bool negated) {
  std::vector<Utf8Sequence> all;
  for (const Range& range : normal(ranges, negated)) {
    const std::vector<Utf8Sequence> some = utf8_sequences(range.first, range.last);
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end(), [](const Utf8Sequence& a, const Utf8Sequence& b) {
    return std::lexicographical_compare(a.bytes, a.bytes + a.n, b.bytes, b.bytes + b.n,
                                        [](auto x, auto y) { return x.first < y.first; });
  });
  return utf8_tree(all, 0);
}

// Sequences in order from their byte `at` on, all alike before it. Those that begin alike share what follows, and what
// follows alike shares a rule, so that at each byte at most one alternative goes on.
Symbol IrBuilder::utf8_tree(std::span<const Utf8Sequence> sequences, size_t at) {
  ByteSet last;
  std::map<Symbol, ByteSet> before;  // by what follows
  for (size_t i = 0, end = 0; i < sequences.size(); i = end) {
    const Utf8Sequence::Bytes b = sequences[i].bytes[at];
    for (end = i + 1; end < sequences.size() && sequences[end].bytes[at].first == b.first; ++end) {
    }
    const ByteSet set = ByteSet::range(b.first, b.last);
    if (at + 1 == sequences[i].n) {
      last |= set;
    } else {
      before[utf8_tree(sequences.subspan(i, end - i), at + 1)] |= set;
    }
  }
  if (before.empty() && !last.empty()) return bytes(last);
  std::vector<Sequence> choices;
  if (!last.empty()) choices.push_back({bytes(last)});
  for (const auto& [tail, set] : before) choices.push_back({bytes(set), tail});
  const auto known = trees_.find(choices);
  if (known != trees_.end()) return known->second;
  const Symbol made = rule();
  for (const Sequence& choice : choices) add(made, choice);
  trees_.emplace(std::move(choices), made);
  return made;
}

namespace {

// Fewest bytes of each rule, by Knuth's generalization of Dijkstra's algorithm (Information Processing Letters 6,
// 1977): a rule is settled when the cheapest of its alternatives is known.
class LeastBytes {
 public:
  static constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

  explicit LeastBytes(const Ir& ir) : ir_(ir), cost_(ir.alternatives.size()), open_(ir.alternatives.size()) {
    bytes.assign(ir.rules.size(), kNever);
    alternative.assign(ir.rules.size(), kNever);
    list_users();
    for (uint32_t a = 0; a < cost_.size(); ++a) {
      if (open_[a] == 0) offer(a);
    }
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const auto [cost, a] = heap_.back();
      heap_.pop_back();
      settle(rule_of_[a], a, cost);
    }
  }

  // Whether the end can be reached through it.
  [[nodiscard]] bool ends(uint32_t a) const { return open_[a] == 0; }

  std::vector<uint32_t> bytes, alternative;  // by rule

 private:
  // Its users lie behind each other, rule by rule: so many small lists would take more time than all the rest.
  void list_users() {
    rule_of_.resize(ir_.alternatives.size());
    first_user_.resize(ir_.rules.size() + 1);
    for (const Symbol symbol : ir_.symbols) {
      if (symbol.kind == Symbol::Kind::kRule) ++first_user_[symbol.index + 1];
    }
    std::partial_sum(first_user_.begin(), first_user_.end(), first_user_.begin());
    users_.resize(first_user_.back());
    std::vector<uint32_t> next(first_user_.begin(), first_user_.end() - 1);
    for (uint32_t r = 0; r < ir_.rules.size(); ++r) {
      for (uint32_t a = ir_.rules[r].first; a < ir_.rules[r].last; ++a) {
        rule_of_[a] = r;
        for (uint32_t s = ir_.alternatives[a].first; s < ir_.alternatives[a].last; ++s) {
          const Symbol symbol = ir_.symbols[s];
          if (symbol.kind == Symbol::Kind::kRule) {
            users_[next[symbol.index]++] = a;
            ++open_[a];
          } else if (ir_.sets[symbol.index].empty()) {
            ++open_[a];  // for ever
          } else {
            ++cost_[a];
          }
        }
      }
    }
  }

  void offer(uint32_t a) {
    heap_.push_back({cost_[a], a});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  void settle(uint32_t rule, uint32_t a, uint64_t cost) {
    if (alternative[rule] != kNever) return;
    cost = std::min<uint64_t>(cost, kNever - 1);  // rules that double each other would exceed any integer
    bytes[rule] = static_cast<uint32_t>(cost);
    alternative[rule] = a;
    for (uint32_t u = first_user_[rule]; u < first_user_[rule + 1]; ++u) {
      const uint32_t user = users_[u];
      cost_[user] = std::min<uint64_t>(cost_[user] + cost, kNever - 1);  // repetitions of repetitions multiply
      if (--open_[user] == 0 && alternative[rule_of_[user]] == kNever) offer(user);
    }
  }

  const Ir& ir_;
  std::vector<uint64_t> cost_;
  std::vector<uint32_t> open_, rule_of_;
  std::vector<uint32_t> first_user_, users_;  // alternatives in which a rule stands, once for each time
  std::vector<std::pair<uint64_t, uint32_t>> heap_;
};

// What the root reaches, without alternatives that cannot end.
class Pruner {
 public:
  Pruner(const Ir& from, const LeastBytes& least, uint32_t root) : from_(from), least_(least) {
    number_.assign(from.rules.size(), LeastBytes::kNever);
    number(root);
    for (size_t i = 0; i < order_.size(); ++i) copy(order_[i]);
    out.sets = from.sets;
  }

  Ir out;
  [[nodiscard]] uint32_t original(uint32_t rule) const { return order_[rule]; }

 private:
  uint32_t number(uint32_t rule) {
    if (number_[rule] == LeastBytes::kNever) {
      number_[rule] = static_cast<uint32_t>(order_.size());
      order_.push_back(rule);
    }
    return number_[rule];
  }

  void copy(uint32_t rule) {
    const auto first = static_cast<uint32_t>(out.alternatives.size());
    out.least_bytes.push_back(least_.bytes[rule]);
    for (uint32_t a = from_.rules[rule].first; a < from_.rules[rule].last; ++a) {
      if (!least_.ends(a)) continue;
      if (a == least_.alternative[rule])
        out.least_alternative.push_back(static_cast<uint32_t>(out.alternatives.size()));
      const auto begin = static_cast<uint32_t>(out.symbols.size());
      for (uint32_t s = from_.alternatives[a].first; s < from_.alternatives[a].last; ++s) {
        Symbol symbol = from_.symbols[s];
        if (symbol.kind == Symbol::Kind::kRule) symbol.index = number(symbol.index);
        out.symbols.push_back(symbol);
      }
      out.alternatives.push_back({begin, static_cast<uint32_t>(out.symbols.size())});
    }
    out.rules.push_back({first, static_cast<uint32_t>(out.alternatives.size())});
  }

  const Ir& from_;
  const LeastBytes& least_;
  std::vector<uint32_t> number_, order_;
};

// Rules that a rule can begin with, and whether more follows them: a circle of these in which something does would make
// the stack grow without a byte being read. One in which nothing does, as of (x*)*, is harmless.
struct LeftEdge {
  uint32_t to;
  bool grows;
};

std::vector<std::vector<LeftEdge>> left_edges(const Ir& ir) {
  std::vector<std::vector<LeftEdge>> edges(ir.rules.size());
  for (uint32_t r = 0; r < ir.rules.size(); ++r) {
    for (uint32_t a = ir.rules[r].first; a < ir.rules[r].last; ++a) {
      const Ir::Alternative& alternative = ir.alternatives[a];
      for (uint32_t s = alternative.first; s < alternative.last; ++s) {
        if (ir.symbols[s].kind != Symbol::Kind::kRule) break;
        edges[r].push_back({ir.symbols[s].index, s + 1 < alternative.last});
        if (ir.least_bytes[ir.symbols[s].index] > 0) break;
      }
    }
  }
  return edges;
}

// Tarjan's strongly connected components, without recursion: rules may form chains of a million.
std::vector<uint32_t> components(const std::vector<std::vector<LeftEdge>>& edges) {
  constexpr uint32_t kNone = LeastBytes::kNever;
  const auto n = static_cast<uint32_t>(edges.size());
  std::vector<uint32_t> index(n, kNone), low(n), component(n, kNone), stack;
  std::vector<std::pair<uint32_t, size_t>> work;
  uint32_t next = 0, n_components = 0;
  for (uint32_t root = 0; root < n; ++root) {
    if (index[root] != kNone) continue;
    work.push_back({root, 0});
    while (!work.empty()) {
      const uint32_t v = work.back().first;
      const size_t at = work.back().second++;
      if (at == 0) {
        index[v] = low[v] = next++;
        stack.push_back(v);
      }
      if (at > 0)
        low[v] = std::min(low[v], component[edges[v][at - 1].to] == kNone ? low[edges[v][at - 1].to] : low[v]);
      if (at < edges[v].size()) {
        if (index[edges[v][at].to] == kNone) work.push_back({edges[v][at].to, 0});
        continue;
      }
      work.pop_back();
      if (low[v] != index[v]) continue;
      for (uint32_t w = kNone; w != v;) {
        w = stack.back();
        stack.pop_back();
        component[w] = n_components;
      }
      ++n_components;
    }
  }
  return component;
}

// From one rule to another that it leads to, both included.
std::vector<uint32_t> shortest_way(const std::vector<std::vector<LeftEdge>>& edges, uint32_t from, uint32_t to) {
  std::vector<uint32_t> before(edges.size(), LeastBytes::kNever), order{from};
  for (size_t i = 0; i < order.size() && before[to] == LeastBytes::kNever; ++i) {
    for (const LeftEdge& e : edges[order[i]]) {
      if (before[e.to] != LeastBytes::kNever) continue;
      before[e.to] = order[i];
      order.push_back(e.to);
    }
  }
  std::vector<uint32_t> way{to};
  while (way.back() != from) way.push_back(before[way.back()]);
  std::reverse(way.begin(), way.end());
  return way;
}

// Rules of which each can begin with the next and the last with the first, with more behind one of them; none: there
// are no such rules.
std::vector<uint32_t> left_recursion(const Ir& ir) {
  const auto edges = left_edges(ir);
  const std::vector<uint32_t> component = components(edges);
  for (uint32_t r = 0; r < edges.size(); ++r) {
    for (const LeftEdge& e : edges[r]) {
      if (e.grows && component[r] == component[e.to]) return shortest_way(edges, e.to, r);
    }
  }
  return {};
}

}  // namespace

// The alternatives in order of their rules.
Ir IrBuilder::sorted() const {
  Ir ir;
  ir.sets = sets_;
  ir.symbols = symbols_;
  std::vector<uint32_t> order(alternatives_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return alternatives_[a].rule < alternatives_[b].rule; });
  size_t at = 0;
  for (uint32_t r = 0; r < n_rules_; ++r) {
    const auto first = static_cast<uint32_t>(ir.alternatives.size());
    for (; at < order.size() && alternatives_[order[at]].rule == r; ++at) {
      ir.alternatives.push_back({alternatives_[order[at]].first, alternatives_[order[at]].last});
    }
    ir.rules.push_back({first, static_cast<uint32_t>(ir.alternatives.size())});
  }
  return ir;
}

// The rules that have names, beginning with the one that was made first.
std::string IrBuilder::described(std::span<const uint32_t> circle) const {
  std::vector<uint32_t> named;
  for (const uint32_t rule : circle) {
    if (names_.contains(rule)) named.push_back(rule);
  }
  if (named.empty()) return "a rule begins with itself";
  std::rotate(named.begin(), std::min_element(named.begin(), named.end()), named.end());
  const std::string& first = names_.at(named[0]);
  if (named.size() == 1) return fmt::format("the rule \"{}\" begins with itself", first);
  constexpr size_t kMost = 8;
  std::string text = fmt::format("the rule \"{}\" begins with \"{}\"", first, names_.at(named[1]));
  for (size_t i = 1; i < named.size(); ++i) {
    if (i == kMost) return text + fmt::format(", and so on through {} more", named.size() - kMost);
    const std::string& next = i + 1 < named.size() ? names_.at(named[i + 1]) : first;
    text += fmt::format(", \"{}\" with \"{}\"", names_.at(named[i]), next);
  }
  return text;
}

Result<Ir> IrBuilder::finish(Symbol root) {
  if (root.kind != Symbol::Kind::kRule) {
    const Symbol wrapped = rule();
    add(wrapped, {root});
    root = wrapped;
  }
  if (too_large_) {
    return fail_f(ErrorCode::kResource, "the grammar has more than {} symbols: use smaller repetitions", kMaxSymbols);
  }
  const Ir all = sorted();
  const LeastBytes least(all);
  if (least.bytes[root.index] == LeastBytes::kNever) {
    return fail(ErrorCode::kInvalidArgument, "the grammar matches nothing: no text can satisfy it");
  }
  Pruner pruner(all, least, root.index);
  std::vector<uint32_t> circle = left_recursion(pruner.out);
  if (circle.empty()) return std::move(pruner.out);
  for (uint32_t& rule : circle) rule = pruner.original(rule);
  return fail_f(ErrorCode::kInvalidArgument, "the grammar is left-recursive: {}; write it with a repetition instead",
                described(circle));
}

Result<Ir> with_bytes(const Ir& ir, const ByteSet& bytes) {
  IrBuilder b;
  std::vector<Symbol> rules;
  for (size_t r = 0; r < ir.rules.size(); ++r) rules.push_back(b.rule());
  IrBuilder::Sequence symbols;
  for (size_t r = 0; r < ir.rules.size(); ++r) {
    for (uint32_t a = ir.rules[r].first; a < ir.rules[r].last; ++a) {
      symbols.clear();
      for (uint32_t s = ir.alternatives[a].first; s < ir.alternatives[a].last; ++s) {
        const Symbol symbol = ir.symbols[s];
        // An empty set never matches: finish() drops the alternative.
        symbols.push_back(symbol.kind == Symbol::Kind::kRule ? rules[symbol.index]
                                                             : b.bytes(ir.sets[symbol.index] & bytes));
      }
      b.add(rules[r], symbols);
    }
  }
  return b.finish(rules[ir.root]);
}

}  // namespace quern::grammar
