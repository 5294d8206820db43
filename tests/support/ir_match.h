// What an Ir matches, told by Earley's algorithm, and random texts of it: for tests of what makes an Ir and of what
// follows it. Simple and independent of the automaton; quadratic in the text's length, so for texts of a few thousand
// bytes. Sources: Earley, CACM 13 (1970); rules that match the empty text as in Aycock and Horspool, The Computer
// Journal 45 (2002).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "grammar/ir.h"

namespace quern::grammar {

// Reads a text byte by byte. Borrows the Ir.
class IrMatcher {
 public:
  explicit IrMatcher(const Ir& ir) : ir_(ir), sets_(1) {
    predict(ir.root);
    close();
  }

  // Whether a text of the grammar begins with what was read so far and this byte. After false the matcher is spent.
  bool read(uint8_t byte) {
    sets_.emplace_back();
    const Set& before = sets_[sets_.size() - 2];
    for (const Item& item : before.items) {
      if (ended(item)) continue;
      const Symbol next = ir_.symbols[item.at];
      if (next.kind == Symbol::Kind::kBytes && ir_.sets[next.index].has(byte))
        add({item.alternative, item.at + 1, item.origin});
    }
    close();
    return !sets_.back().items.empty();
  }

  // Whether what was read so far is a text of the grammar.
  [[nodiscard]] bool accepts() const {
    for (const Item& item : sets_.back().items) {
      if (item.origin == 0 && ended(item) && rule_of(item.alternative) == ir_.root) return true;
    }
    return false;
  }

 private:
  struct Item {
    uint32_t alternative, at, origin;
    auto operator<=>(const Item&) const = default;
  };
  struct Set {
    std::vector<Item> items;
    std::set<Item> known;
    std::map<uint32_t, std::vector<Item>> waiting;  // by the rule that they wait for
  };

  [[nodiscard]] bool ended(const Item& item) const { return item.at == ir_.alternatives[item.alternative].last; }

  [[nodiscard]] uint32_t rule_of(uint32_t alternative) const {
    uint32_t low = 0, high = static_cast<uint32_t>(ir_.rules.size());
    while (high - low > 1) {
      const uint32_t middle = (low + high) / 2;
      (ir_.rules[middle].first <= alternative ? low : high) = middle;
    }
    return low;
  }

  void add(const Item& item) {
    if (sets_.back().known.insert(item).second) sets_.back().items.push_back(item);
  }

  void predict(uint32_t rule) {
    const auto origin = static_cast<uint32_t>(sets_.size() - 1);
    for (uint32_t a = ir_.rules[rule].first; a < ir_.rules[rule].last; ++a) add({a, ir_.alternatives[a].first, origin});
  }

  void close() {
    for (size_t i = 0; i < sets_.back().items.size(); ++i) {
      const Item item = sets_.back().items[i];
      if (ended(item)) {
        const auto waiting = sets_[item.origin].waiting.find(rule_of(item.alternative));
        if (waiting == sets_[item.origin].waiting.end()) continue;
        for (size_t w = 0; w < waiting->second.size(); ++w) {
          const Item user = waiting->second[w];
          add({user.alternative, user.at + 1, user.origin});
        }
        continue;
      }
      const Symbol next = ir_.symbols[item.at];
      if (next.kind != Symbol::Kind::kRule) continue;
      sets_.back().waiting[next.index].push_back(item);
      predict(next.index);
      if (ir_.least_bytes[next.index] == 0) add({item.alternative, item.at + 1, item.origin});
    }
  }

  const Ir& ir_;
  std::vector<Set> sets_;
};

inline bool ir_matches(const Ir& ir, std::string_view text) {
  IrMatcher matcher(ir);
  for (const char c : text) {
    if (!matcher.read(static_cast<uint8_t>(c))) return false;
  }
  return matcher.accepts();
}

// Whether some text of the grammar begins so.
inline bool ir_begins(const Ir& ir, std::string_view text) {
  IrMatcher matcher(ir);
  for (const char c : text) {
    if (!matcher.read(static_cast<uint8_t>(c))) return false;
  }
  return true;
}

// A random text: alternatives and bytes with equal chances until about `steps` symbols were taken, then the shortest
// end.
inline std::string ir_sample(const Ir& ir, SplitMix64& random, size_t steps = 400) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random.next() % n); };
  std::string text;
  std::vector<Symbol> stack = {{Symbol::Kind::kRule, ir.root}};
  for (size_t step = 0; !stack.empty(); ++step) {
    const Symbol symbol = stack.back();
    stack.pop_back();
    if (symbol.kind == Symbol::Kind::kBytes) {
      const ByteSet& set = ir.sets[symbol.index];
      size_t skip = below(static_cast<size_t>(set.count()));
      set.for_each([&](uint8_t byte) {
        if (skip-- == 0) text += static_cast<char>(byte);
      });
      continue;
    }
    const Ir::Rule& rule = ir.rules[symbol.index];
    const uint32_t chosen = step < steps ? rule.first + static_cast<uint32_t>(below(rule.last - rule.first))
                                         : ir.least_alternative[symbol.index];
    const Ir::Alternative& alternative = ir.alternatives[chosen];
    for (uint32_t s = alternative.last; s > alternative.first; --s) stack.push_back(ir.symbols[s - 1]);
  }
  return text;
}

}  // namespace quern::grammar
