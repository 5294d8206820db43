// The matcher of the tests (tests/support/ir_match.h) is itself held against grammars whose texts are plain.
#include "tests/support/ir_match.h"

#include <gtest/gtest.h>

namespace quern::grammar {
namespace {

// s: "" | "(" s ")" s
Ir brackets() {
  IrBuilder builder;
  const Symbol s = builder.rule();
  builder.add(s, {});
  builder.add(s, {builder.literal("("), s, builder.literal(")"), s});
  return builder.finish(s).value();
}

TEST(IrMatch, TellsTextsAndTheirBeginnings) {
  const Ir ir = brackets();
  for (const char* text : {"", "()", "(())()", "((()()))"}) EXPECT_TRUE(ir_matches(ir, text)) << text;
  for (const char* text : {"(", ")", "())", "(()", "x"}) EXPECT_FALSE(ir_matches(ir, text)) << text;
  EXPECT_TRUE(ir_begins(ir, "(()"));
  EXPECT_FALSE(ir_begins(ir, "())"));
}

TEST(IrMatch, EmptyRulesInARow) {
  IrBuilder builder;
  const Symbol maybe = builder.optional(builder.literal("a"));
  const Symbol many = builder.repeat(maybe, 3, IrBuilder::kUnbounded);
  const Ir ir = builder.finish(builder.sequence({maybe, many, builder.literal("b")})).value();
  for (const char* text : {"b", "ab", "aaaaaaab"}) EXPECT_TRUE(ir_matches(ir, text)) << text;
  for (const char* text : {"", "a", "ba"}) EXPECT_FALSE(ir_matches(ir, text)) << text;
}

TEST(IrMatch, SamplesEndAndMatch) {
  const Ir ir = brackets();
  SplitMix64 random(7);
  size_t longest = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string text = ir_sample(ir, random, 60);
    EXPECT_TRUE(ir_matches(ir, text)) << text;
    longest = std::max(longest, text.size());
  }
  EXPECT_GT(longest, 4u);
}

}  // namespace
}  // namespace quern::grammar
