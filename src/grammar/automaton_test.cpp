#include "grammar/automaton.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/support/ir_match.h"

namespace quern::grammar {
namespace {

constexpr size_t kMany = IrBuilder::kUnbounded;

std::shared_ptr<const Ir> finished(IrBuilder& b, Symbol root) {
  auto ir = b.finish(root);
  EXPECT_TRUE(ir.has_value()) << ir.error().message;
  return std::make_shared<const Ir>(std::move(*ir));
}

// Balanced brackets around letters, ambiguous on purpose: several ways to write the same text.
std::shared_ptr<const Ir> brackets() {
  IrBuilder b;
  const Symbol item = b.rule(), letter = b.bytes(ByteSet::range('a', 'c'));
  const Symbol list = b.sequence({b.literal("["), b.repeat(item, 0, kMany), b.literal("]")});
  b.add(item, {letter});
  b.add(item, {letter, letter});
  b.add(item, {list});
  b.add(item, {b.repeat(b.literal("x"), 2, 4)});
  return finished(b, list);
}

// A random grammar of a few rules: what the automaton says is what Earley's algorithm says.
std::shared_ptr<const Ir> random_ir(SplitMix64& rng) {
  for (;;) {
    IrBuilder b;
    std::vector<Symbol> rules;
    for (int i = 0; i < 4; ++i) rules.push_back(b.rule());
    for (const Symbol r : rules) {
      for (uint64_t a = 0; a < 1 + rng.next() % 3; ++a) {
        IrBuilder::Sequence symbols;
        for (uint64_t s = rng.next() % 4; s > 0; --s) {
          const uint64_t kind = rng.next() % 6;
          const uint8_t from = static_cast<uint8_t>('a' + rng.next() % 3);
          symbols.push_back(kind < 2 ? rules[rng.next() % 4]
                            : kind < 5
                                ? b.bytes(ByteSet::range(from, static_cast<uint8_t>(from + rng.next() % 2)))
                                : b.repeat(rules[rng.next() % 4], rng.next() % 2, rng.next() % 2 == 0 ? kMany : 3));
        }
        b.add(r, symbols);
      }
    }
    if (auto ir = b.finish(rules[0])) return std::make_shared<const Ir>(std::move(*ir));
  }
}

// False where the grammar is so ambiguous that the automaton gave up.
bool compare(const std::shared_ptr<const Ir>& ir, const std::string& text) {
  Automaton automaton(ir);
  IrMatcher earley(*ir);
  Automaton::State state = automaton.start();
  for (size_t i = 0; i <= text.size(); ++i) {
    SCOPED_TRACE(text.substr(0, i));
    EXPECT_EQ(automaton.accepts(state), earley.accepts());
    const std::string end = automaton.shortest_end(state, 1 << 16);
    EXPECT_EQ(end.size(), automaton.least_bytes(state));
    const bool ends = automaton.accepts(automaton.next(state, end));
    if (automaton.exhausted()) return false;
    EXPECT_TRUE(ends);
    if (i == text.size()) break;
    state = automaton.next(state, static_cast<uint8_t>(text[i]));
    if (automaton.exhausted()) return false;
    EXPECT_EQ(state != Automaton::kDead, earley.read(static_cast<uint8_t>(text[i])));
    if (state == Automaton::kDead) break;
  }
  return true;
}

TEST(Automaton, SaysWhatEarleySaysOfRandomGrammars) {
  SplitMix64 rng(7);
  size_t long_ones = 0, gave_up = 0;
  for (int i = 0; i < 200; ++i) {
    const auto ir = random_ir(rng);
    Automaton walk(ir);
    std::string text;
    Automaton::State state = walk.start();
    for (int steps = 0; steps < 30; ++steps) {  // mostly along what is allowed
      std::string allowed;
      for (char c = 'a'; c <= 'd'; ++c) {
        if (walk.next(state, static_cast<uint8_t>(c)) != Automaton::kDead) allowed.push_back(c);
      }
      if (allowed.empty()) break;
      text.push_back(allowed[rng.next() % allowed.size()]);
      state = walk.next(state, static_cast<uint8_t>(text.back()));
    }
    long_ones += text.size() == 30;
    if (rng.next() % 2 == 0) text.push_back('a');
    gave_up += !compare(ir, text);
    ASSERT_FALSE(HasFailure()) << "grammar " << i;
  }
  EXPECT_GT(long_ones, 20u) << "the grammars are too easy";
  EXPECT_EQ(gave_up, 0u);
}

TEST(Automaton, NestedTexts) {
  for (const char* text : {"[]", "[a]", "[ab[c[xx]]xxxx]", "[[[[]]]", "[x]", "[xxxxx]", "]", "[a]a"}) {
    EXPECT_TRUE(compare(brackets(), text));
  }
}

TEST(Automaton, DeepNestingAndLongTextsStaySmall) {
  Automaton a(brackets());
  EXPECT_NE(a.next(a.start(), std::string(10000, '[')), Automaton::kDead);
  Automaton flat(brackets());
  const Automaton::State in = flat.next(flat.start(), "[" + std::string(100000, 'a'));
  EXPECT_NE(in, Automaton::kDead);
  EXPECT_LT(flat.n_states(), 20u) << "a loop has as many states as it has places";
}

TEST(Automaton, CompleteAndOnlyByte) {
  IrBuilder b;
  Automaton a(finished(b, b.sequence({b.literal("ab"), b.choice({b.literal("c"), b.literal("cd"), b.literal("e")})})));
  EXPECT_EQ(a.only_byte(a.start()), 'a');
  const Automaton::State fork = a.next(a.start(), "ab");
  EXPECT_EQ(a.only_byte(fork), -1);
  const Automaton::State may_end = a.next(fork, "c"), end = a.next(fork, "e");
  EXPECT_TRUE(a.accepts(may_end) && !a.complete(may_end));
  EXPECT_EQ(a.only_byte(may_end), -1) << "it may also end";
  EXPECT_TRUE(a.complete(end));
  EXPECT_EQ(a.shortest_end(a.start(), 100), "abc");
}

// A list in a list in a list, each of which may be of either kind to its end: one stack a level, not two to the power
// of the level.
TEST(Automaton, NestedAmbiguityDoesNotDouble) {
  IrBuilder b;
  const Symbol either = b.rule(), item = b.choice({b.literal("a"), either});
  const Symbol open = b.literal("["), close = b.literal("]");
  b.add(either, {open, b.repeat(item, 0, kMany), close});
  b.add(either, {open, b.repeat(item, 0, kMany), b.repeat(b.literal("b"), 0, kMany), close});
  Automaton a(finished(b, either));
  const Automaton::State deep = a.next(a.start(), std::string(2000, '['));
  ASSERT_NE(deep, Automaton::kDead);
  EXPECT_EQ(a.least_bytes(deep), 2000u);
  std::string ends = "a";
  for (int i = 0; i < 2000; ++i) ends += i % 3 == 0 ? "bb]" : "]";
  EXPECT_TRUE(a.accepts(a.next(deep, ends)));
  EXPECT_LT(a.fullness(), 0.05);
}

// Every choice may be any of many texts at once: the stacks of a state are bounded.
TEST(Automaton, AnAmbiguousGrammarMeetsALimit) {
  IrBuilder b;
  const Symbol s = b.rule(), x = b.literal("x");
  b.add(s, {x, s, s, s});
  b.add(s, {x, s, s});
  b.add(s, {x, s});
  b.add(s, {x});
  Automaton a(finished(b, s));
  a.next(a.start(), std::string(100000, 'x'));
  EXPECT_TRUE(a.exhausted());
}

}  // namespace
}  // namespace quern::grammar
