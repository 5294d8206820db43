#include "grammar/ir.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "tests/support/ir_match.h"
#include "text/utf8.h"

namespace quern::grammar {
namespace {

std::string utf8(uint32_t cp) {
  std::string text;
  utf8_append(text, cp);
  return text;
}

bool is_surrogate(uint32_t cp) {
  return cp >= 0xD800 && cp <= 0xDFFF;
}

bool holds(const Utf8Sequence& s, const std::string& bytes) {
  if (s.n != bytes.size()) return false;
  for (size_t i = 0; i < s.n; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (byte < s.bytes[i].first || byte > s.bytes[i].last) return false;
  }
  return true;
}

// Cuts that part all code points into ranges: where UTF-8 changes its length, beside them, and anywhere.
std::vector<uint32_t> cuts() {
  std::vector<uint32_t> at = {0,       1,       0x7F,    0x80,    0x81,     0x7FF,    0x800,    0x801,   0xFFF,
                              0x1000,  0xD7FF,  0xD800,  0xDABC,  0xDFFF,   0xE000,   0xE001,   0xFFFF,  0x10000,
                              0x10001, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFE, 0x10FFFF, 0x110000};
  SplitMix64 random(7);
  for (int i = 0; i < 60; ++i) at.push_back(static_cast<uint32_t>(random.next() % 0x110000));
  for (int i = 0; i < 60; ++i) at.push_back(static_cast<uint32_t>(random.next() % 0x1000));
  std::sort(at.begin(), at.end());
  at.erase(std::unique(at.begin(), at.end()), at.end());
  return at;
}

// Every code point is in its range's sequences, once; and these hold no other bytes, since there are no more of them.
TEST(Utf8Sequences, HoldEveryCodePointOnceAndNothingElse) {
  const std::vector<uint32_t> at = cuts();
  for (size_t i = 0; i + 1 < at.size(); ++i) {
    const auto sequences = utf8_sequences(at[i], at[i + 1] - 1);
    size_t n_points = 0, n_texts = 0;
    for (uint32_t cp = at[i]; cp < at[i + 1]; ++cp) {
      if (is_surrogate(cp)) continue;
      ++n_points;
      const std::string text = utf8(cp);
      const auto n = std::count_if(sequences.begin(), sequences.end(), [&](const auto& s) { return holds(s, text); });
      ASSERT_EQ(n, 1) << "code point " << cp << " of " << at[i] << " to " << at[i + 1] - 1;
    }
    for (const Utf8Sequence& s : sequences) {
      size_t product = 1;
      for (size_t b = 0; b < s.n; ++b) product *= static_cast<size_t>(s.bytes[b].last - s.bytes[b].first) + 1;
      n_texts += product;
    }
    ASSERT_EQ(n_texts, n_points) << at[i] << " to " << at[i + 1] - 1;
  }
}

TEST(IrBuilder, CharactersMatchTheirRanges) {
  const std::vector<uint32_t> at = cuts();
  std::vector<IrBuilder::Range> ranges;
  for (size_t i = 0; i + 1 < at.size(); i += 2) ranges.push_back({at[i], at[i + 1] - 1});
  for (const bool negated : {false, true}) {
    IrBuilder builder;
    const Symbol set = builder.characters(ranges, negated);
    EXPECT_EQ(builder.characters(ranges, negated), set) << "the same set is made once";
    const auto ir = builder.finish(set);
    ASSERT_TRUE(ir) << ir.error().message;
    const auto check = [&](uint32_t cp) {
      if (is_surrogate(cp) || cp > 0x10FFFF) return;
      const auto after = std::upper_bound(at.begin(), at.end(), cp);
      const bool inside = (after - at.begin()) % 2 == 1;
      EXPECT_EQ(ir_matches(*ir, utf8(cp)), inside != negated) << cp;
    };
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp += 613) check(cp);
    for (const uint32_t cut : at) {
      check(cut);
      check(cut - 1);
    }
  }
}

// One lead byte leads to one rule: whoever follows the bytes of a character has one place to be in.
TEST(IrBuilder, CharactersAreDeterministic) {
  std::vector<IrBuilder::Range> ranges;
  for (uint32_t cp = 0x60; cp < 0x20000; cp += 7) ranges.push_back({cp, cp + 2});
  IrBuilder builder;
  const auto ir = builder.finish(builder.characters(ranges));
  ASSERT_TRUE(ir) << ir.error().message;
  for (const Ir::Rule& rule : ir->rules) {
    ByteSet taken;
    for (uint32_t a = rule.first; a < rule.last; ++a) {
      const Symbol first = ir->symbols[ir->alternatives[a].first];
      ASSERT_EQ(first.kind, Symbol::Kind::kBytes);
      EXPECT_TRUE((taken & ir->sets[first.index]).empty());
      taken |= ir->sets[first.index];
    }
  }
}

TEST(IrBuilder, CharactersTakeRangesOfAnyOrderAndSize) {
  IrBuilder builder;
  const std::vector<IrBuilder::Range> ranges = {
      {'x', 0xFFFFFFFF}, {'c', 'a'}, {'b', 'b'}, {'b', 'd'}, {0x110000, 0x110001}};
  const auto ir = builder.finish(builder.characters(ranges));
  ASSERT_TRUE(ir) << ir.error().message;
  for (const char* text : {"b", "c", "d", "x", "z", "\U0010FFFF"}) EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"a", "e", "w", "", "bb"}) EXPECT_FALSE(ir_matches(*ir, text)) << text;
  IrBuilder other;
  EXPECT_FALSE(other.finish(other.characters(ranges, true))->sets.empty());
  IrBuilder nothing;
  EXPECT_FALSE(nothing.finish(nothing.characters({})));
  IrBuilder surrogates;
  EXPECT_FALSE(surrogates.finish(surrogates.characters({{{0xD800, 0xDFFF}}})));
}

TEST(IrBuilder, LiteralsAreMadeOnce) {
  IrBuilder builder;
  EXPECT_EQ(builder.literal("true"), builder.literal("true"));
  EXPECT_EQ(builder.literal(""), builder.empty());
  const auto ir = builder.finish(builder.choice({builder.literal("true"), builder.literal("t"), builder.empty()}));
  ASSERT_TRUE(ir) << ir.error().message;
  for (const char* text : {"true", "t", ""}) EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"tr", "truet", "x"}) EXPECT_FALSE(ir_matches(*ir, text)) << text;
  EXPECT_TRUE(ir_begins(*ir, "tr"));
}

TEST(IrBuilder, ASpecialTokenIsItselfOrItsText) {
  IrBuilder builder;
  const auto ir = builder.finish(builder.sequence({builder.literal("a"), builder.special("<|x|>")}));
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_TRUE(ir_matches(*ir, "a<|x|>"));
  EXPECT_TRUE(ir_matches(*ir, "a\xFF<|x|>"));
  EXPECT_FALSE(ir_matches(*ir, "a\xFF\xFF<|x|>"));
  EXPECT_FALSE(ir_matches(*ir, "a"));
  EXPECT_EQ(ir->least_bytes[ir->root], 6u);
}

TEST(IrBuilder, RepeatsWithinBounds) {
  struct Case {
    size_t least, most;
  };
  for (const Case c :
       {Case{0, 0}, {0, 1}, {0, 3}, {2, 2}, {2, 5}, {0, IrBuilder::kUnbounded}, {3, IrBuilder::kUnbounded}}) {
    IrBuilder builder;
    const auto ir = builder.finish(builder.repeat(builder.literal("ab"), c.least, c.most));
    ASSERT_TRUE(ir) << ir.error().message;
    EXPECT_EQ(ir->least_bytes[ir->root], 2 * c.least);
    std::string text;
    for (size_t n = 0; n < 8; ++n, text += "ab") {
      EXPECT_EQ(ir_matches(*ir, text), n >= c.least && n <= c.most) << c.least << " to " << c.most << ": " << n;
      EXPECT_FALSE(ir_matches(*ir, text + "a"));
    }
  }
  IrBuilder builder;
  EXPECT_FALSE(builder.finish(builder.repeat(builder.literal("a"), 3, 2))) << "no number is within these bounds";
}

TEST(IrBuilder, RefusesWhatIsTooLarge) {
  IrBuilder builder;
  const auto ir = builder.finish(builder.repeat(builder.literal("a"), 0, 1'000'000'000'000));
  ASSERT_FALSE(ir);
  EXPECT_EQ(ir.error().code, ErrorCode::kResource);
}

TEST(IrFinish, DropsWhatCannotEnd) {
  IrBuilder builder;
  const Symbol root = builder.rule(), endless = builder.rule(), none = builder.rule();
  builder.add(endless, {builder.literal("c"), endless});
  builder.add(root, {builder.literal("b"), endless});
  builder.add(root, {builder.literal("d"), none});
  builder.add(root, {builder.literal("e"), builder.bytes(ByteSet{})});
  builder.add(root, {builder.literal("a"), root});
  builder.add(root, {builder.literal("ff")});
  const auto ir = builder.finish(root);
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_TRUE(ir_matches(*ir, "aaff"));
  for (const char* text : {"b", "bc", "d", "e", "ab"}) EXPECT_FALSE(ir_begins(*ir, text)) << text;
  EXPECT_EQ(ir->least_bytes[ir->root], 2u);
}

TEST(IrFinish, SaysThatNothingMatches) {
  IrBuilder builder;
  const Symbol root = builder.rule();
  builder.add(root, {builder.literal("("), root, builder.literal(")")});
  const auto ir = builder.finish(root);
  ASSERT_FALSE(ir);
  EXPECT_EQ(ir.error().code, ErrorCode::kInvalidArgument);
}

TEST(IrFinish, CountsTheFewestBytes) {
  IrBuilder builder;
  const Symbol root = builder.rule(), item = builder.rule();
  builder.add(item, {builder.literal("xyz")});
  builder.add(item, {builder.literal("["), root, builder.literal("]")});
  builder.add(root, {item, item});
  builder.add(root, {builder.literal("0123456")});
  const auto ir = builder.finish(root);
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_EQ(ir->least_bytes[ir->root], 6u);
  SplitMix64 random(3);
  EXPECT_EQ(ir_sample(*ir, random, 0), "xyzxyz");
}

// Each of these rules is twice the one before: 2 to the power of 80 bytes.
TEST(IrFinish, FewestBytesDoNotOverflow) {
  IrBuilder builder;
  Symbol twice = builder.literal("a");
  for (int i = 0; i < 80; ++i) twice = builder.sequence({twice, twice});
  const auto ir = builder.finish(builder.choice({twice, builder.literal("bb")}));
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_EQ(ir->least_bytes[ir->root], 2u);
  EXPECT_EQ(*std::max_element(ir->least_bytes.begin(), ir->least_bytes.end()), 0xFFFFFFFEu);
}

ErrorCode finish_error(IrBuilder& builder, Symbol root) {
  const auto ir = builder.finish(root);
  EXPECT_FALSE(ir);
  return ir ? ErrorCode::kIo : ir.error().code;
}

TEST(IrFinish, TellsLeftRecursion) {
  {
    IrBuilder direct;
    const Symbol root = direct.rule();
    direct.add(root, {root, direct.literal("a")});
    direct.add(root, {direct.literal("b")});
    EXPECT_EQ(finish_error(direct, root), ErrorCode::kInvalidArgument);
  }
  {
    IrBuilder through_another;
    const Symbol root = through_another.rule(), other = through_another.rule();
    through_another.add(root, {other, through_another.literal("a")});
    through_another.add(root, {through_another.literal("b")});
    through_another.add(other, {root});
    EXPECT_EQ(finish_error(through_another, root), ErrorCode::kInvalidArgument);
  }
  {
    IrBuilder behind_the_empty;
    const Symbol root = behind_the_empty.rule();
    const Symbol perhaps = behind_the_empty.optional(behind_the_empty.literal("x"));
    behind_the_empty.add(root, {perhaps, root, behind_the_empty.literal("a")});
    behind_the_empty.add(root, {behind_the_empty.literal("b")});
    EXPECT_EQ(finish_error(behind_the_empty, root), ErrorCode::kInvalidArgument);
  }
  {
    IrBuilder deep;
    const Symbol root = deep.rule(), inner = deep.rule();
    deep.add(root, {deep.literal("["), inner, deep.literal("]")});
    deep.add(inner, {inner, deep.literal(","), root});
    deep.add(inner, {deep.empty()});
    EXPECT_EQ(finish_error(deep, root), ErrorCode::kInvalidArgument);
  }
}

TEST(IrFinish, TakesLoopsThatReadNothing) {
  IrBuilder builder;
  const Symbol x = builder.literal("x");
  const Symbol inner = builder.repeat(x, 0, IrBuilder::kUnbounded);
  const Symbol twice = builder.repeat(inner, 0, IrBuilder::kUnbounded);
  const Symbol thrice = builder.repeat(builder.optional(twice), 0, IrBuilder::kUnbounded);
  const auto ir = builder.finish(builder.sequence({thrice, builder.literal("y")}));
  ASSERT_TRUE(ir) << ir.error().message;
  for (const char* text : {"y", "xy", "xxxxy"}) EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"", "x", "yx"}) EXPECT_FALSE(ir_matches(*ir, text)) << text;

  IrBuilder unit;  // a ::= b | "x", b ::= a
  const Symbol a = unit.rule(), b = unit.rule();
  unit.add(a, {b});
  unit.add(a, {unit.literal("x")});
  unit.add(b, {a});
  EXPECT_TRUE(unit.finish(a));
}

TEST(IrFinish, TakesRecursionBehindAByte) {
  IrBuilder builder;
  const Symbol value = builder.rule();
  builder.add(value, {builder.literal("["), builder.repeat(value, 0, IrBuilder::kUnbounded), builder.literal("]")});
  const auto ir = builder.finish(value);
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_TRUE(ir_matches(*ir, "[[][[]]]"));
  EXPECT_FALSE(ir_matches(*ir, "[[]"));
}

// A chain of rules as long as they may be: no recursion runs over it.
TEST(IrFinish, TakesLongChains) {
  IrBuilder builder;
  Symbol at = builder.literal("a");
  for (int i = 0; i < 300'000; ++i) {
    const Symbol next = builder.rule();
    builder.add(next, {at});
    at = next;
  }
  const auto ir = builder.finish(at);
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_EQ(ir->least_bytes[ir->root], 1u);
}

// Random grammars: what finish() lets through has an end from everywhere, and its figures agree with each other.
TEST(IrFinish, EveryAlternativeEnds) {
  SplitMix64 random(11);
  const auto below = [&](size_t n) { return static_cast<size_t>(random.next() % n); };
  int finished = 0;
  for (int round = 0; round < 300; ++round) {
    IrBuilder builder;
    std::vector<Symbol> rules;
    for (size_t i = 0; i < 8; ++i) rules.push_back(builder.rule());
    for (const Symbol rule : rules) {
      for (size_t a = below(4); a > 0; --a) {
        IrBuilder::Sequence sequence;
        if (below(5) != 0) sequence.push_back(builder.bytes(ByteSet::one(static_cast<uint8_t>('a' + below(3)))));
        for (size_t s = below(3); s > 0; --s) sequence.push_back(rules[below(rules.size())]);
        builder.add(rule, sequence);
      }
    }
    const auto ir = builder.finish(rules[0]);
    if (!ir) continue;
    ++finished;
    for (size_t r = 0; r < ir->rules.size(); ++r) {
      const uint32_t least = ir->least_alternative[r];
      ASSERT_TRUE(least >= ir->rules[r].first && least < ir->rules[r].last);
      uint32_t fewest = 0xFFFFFFFF;
      for (uint32_t a = ir->rules[r].first; a < ir->rules[r].last; ++a) {
        uint32_t sum = 0;
        for (uint32_t s = ir->alternatives[a].first; s < ir->alternatives[a].last; ++s) {
          sum += ir->symbols[s].kind == Symbol::Kind::kRule ? ir->least_bytes[ir->symbols[s].index] : 1;
        }
        if (a == least) {
          EXPECT_EQ(sum, ir->least_bytes[r]);
        }
        fewest = std::min(fewest, sum);
      }
      EXPECT_EQ(fewest, ir->least_bytes[r]);
    }
    EXPECT_EQ(ir_sample(*ir, random, 0).size(), ir->least_bytes[ir->root]);
    const std::string text = ir_sample(*ir, random, 20);
    if (text.size() < 60) {
      EXPECT_TRUE(ir_matches(*ir, text)) << text;
    }
  }
  EXPECT_GT(finished, 100);
}

TEST(Ir, WithBytesKeepsTheTextsThatHaveNoOthers) {
  IrBuilder b;
  const Symbol item = b.choice({b.literal("a"), b.literal("bc"), b.bytes(ByteSet::range('c', 'e'))});
  const auto ir = b.finish(b.sequence({b.literal("<"), b.repeat(item, 1, IrBuilder::kUnbounded), b.literal(">")}));
  ASSERT_TRUE(ir.has_value());
  const auto part = with_bytes(*ir, ~(ByteSet::one('b') | ByteSet::one('d')));
  ASSERT_TRUE(part.has_value());
  for (const auto& [text, kept] : {std::pair("<a>", true), {"<ace>", true}, {"<bc>", false}, {"<ad>", false}}) {
    EXPECT_TRUE(ir_matches(*ir, text)) << text;
    EXPECT_EQ(ir_matches(*part, text), kept) << text;
  }
  EXPECT_EQ(with_bytes(*ir, ~ByteSet::one('>')).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace quern::grammar
