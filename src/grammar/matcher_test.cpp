#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "grammar/json_schema.h"

namespace quern::grammar {
namespace {

// All single bytes, and some longer tokens; the last two are special.
std::vector<std::string> some_tokens() {
  std::vector<std::string> tokens;
  for (unsigned b = 0; b < 256; ++b) tokens.push_back(std::string(1, static_cast<char>(b)));
  for (const char* t : {"true", "false", "tr", "ue", "\"", "\": ", "name", "na", "\"name", "\"name\"", "hello world",
                        "a long plain token of words", "Grüße", "\xC3", "\xA9t\xC3\xA9", "{\"", "\"}", "abc", "name"}) {
    tokens.push_back(t);
  }
  SplitMix64 rng(3);
  for (int i = 0; i < 300; ++i) {
    std::string t;
    for (uint64_t n = 2 + rng.next() % 30; n > 0; --n) t.push_back("abcdefgh \"\\{}:,01"[rng.next() % 17]);
    tokens.push_back(t);
  }
  tokens.push_back(std::string(1, static_cast<char>(kSpecialByte)) + "<|call|>");
  tokens.push_back("");  // the end of text
  return tokens;
}

struct Model {
  std::vector<std::string> tokens = some_tokens();
  int32_t end = static_cast<int32_t>(tokens.size()) - 1, call = end - 1;
  std::shared_ptr<const Vocabulary> vocabulary = std::make_shared<Vocabulary>(
      tokens.size(), [this](int32_t id) { return tokens[static_cast<size_t>(id)]; }, std::span(&end, 1));

  std::shared_ptr<GrammarRun> run(IrBuilder& b, Symbol root) {
    auto ir = b.finish(root);
    EXPECT_TRUE(ir.has_value());
    return std::make_shared<GrammarRun>(std::make_shared<const Ir>(std::move(*ir)), vocabulary,
                                        [](std::string_view) { return std::vector<int32_t>{}; });
  }
  [[nodiscard]] int32_t id(std::string_view text) const {
    return static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), text) - tokens.begin());
  }
};

Symbol json_text(IrBuilder& b, size_t least, size_t most) {
  const IrBuilder::Range bad[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}};
  return b.repeat(b.characters(bad, /*negated=*/true), least, most);
}

// Along a text, the mask of each state is what the automaton says of each token alone.
void compare_masks(const Model& m, const std::shared_ptr<GrammarRun>& run) {
  Automaton::State state = run->automaton.start();
  for (const char c : std::string("{\"name\": \"a") + "\xC3\xA9" + "bc") {
    const std::vector<uint32_t> mask = run->masks.of(state);
    EXPECT_EQ(run->masks.of(state), mask) << "the kept one";
    for (int32_t id = 0; id < m.end; ++id) {
      const bool allowed = (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1u) != 0;
      ASSERT_EQ(allowed, run->automaton.next(state, m.vocabulary->bytes(id)) != Automaton::kDead) << m.tokens[id];
    }
    EXPECT_FALSE((mask[static_cast<size_t>(m.end) / 32] >> (m.end % 32) & 1u) != 0) << "it may not end here";
    const Automaton::State to = run->automaton.next(state, static_cast<uint8_t>(c));
    if (to == Automaton::kDead) break;
    state = to;
  }
}

TEST(Masks, EqualTheAutomatonTokenByToken) {
  Model m;
  for (const size_t most : {size_t{0}, size_t{3}, size_t{6}, size_t{7}, size_t{20}, size_t{26}, size_t{30}, size_t{40},
                            IrBuilder::kUnbounded}) {
    SCOPED_TRACE(most);
    IrBuilder b;
    compare_masks(m, m.run(b, b.sequence({b.literal("{\"name\": \""), json_text(b, 0, most), b.literal("\"}")})));
  }
}

// Behind the characters that may be anything come some that may not.
TEST(Masks, EqualTheAutomatonWhereRoomIsNotExact) {
  Model m;
  const IrBuilder::Range some[] = {{'a', 'd'}, {' ', ' '}};
  for (const size_t free : {size_t{0}, size_t{2}, size_t{5}, size_t{11}, size_t{25}}) {
    SCOPED_TRACE(free);
    IrBuilder b;
    const Symbol rest = b.repeat(b.characters(some), 0, IrBuilder::kUnbounded);
    const Symbol text = b.sequence({json_text(b, free, free), rest});
    compare_masks(m, m.run(b, b.sequence({b.literal("{\"name\": \""), text, b.literal("\"}")})));
    // And where a character leads to several states.
    IrBuilder c;
    const Symbol ways = c.choice({json_text(c, 0, free), c.repeat(c.characters(some), 0, IrBuilder::kUnbounded)});
    compare_masks(m, m.run(c, c.sequence({c.literal("{\"name\": \""), ways, c.literal("\"}")})));
  }
}

TEST(Matcher, ForcesWhatHasToFollow) {
  Model m;
  IrBuilder b;
  const auto run = m.run(b, b.sequence({b.literal("{\"name\": \""), json_text(b, 0, 9), b.literal("\"}")}));
  Matcher matcher(run, {});
  std::string text;
  for (const int32_t id : matcher.forced()) {
    text += m.tokens[static_cast<size_t>(id)];
    matcher.accept(id);
  }
  EXPECT_TRUE(text.starts_with("{\"name\"")) << text;
  EXPECT_TRUE(std::string("{\"name\": \"").starts_with(text)) << text;
  for (const char c : std::string("{\"name\": \"").substr(text.size())) matcher.accept(static_cast<uint8_t>(c));
  EXPECT_TRUE(matcher.forced().empty());
  matcher.accept(m.id("h"));
  matcher.accept(m.id("\""));
  EXPECT_EQ(matcher.forced(), (std::vector<int32_t>{m.id("}")}));
  matcher.accept(m.id("}"));
  EXPECT_TRUE(matcher.complete());
  EXPECT_TRUE(matcher.forced().empty());
}

TEST(Matcher, KnowsTheShortestEnd) {
  Model m;
  IrBuilder b;
  const auto run = m.run(b, b.sequence({b.literal("{\"name\": \""), json_text(b, 2, 9), b.literal("\"}")}));
  Matcher matcher(run, {});
  const auto end = matcher.shortest_end(100);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(matcher.shortest_end(end->size()), end);
  EXPECT_FALSE(matcher.shortest_end(end->size() - 1).has_value());
  EXPECT_TRUE(matcher.can_end_after(m.id("{\""), end->size()));
  EXPECT_FALSE(matcher.can_end_after(m.id("{\""), 2));
  for (const int32_t id : *end) matcher.accept(id);
  EXPECT_TRUE(matcher.complete());
}

TEST(Matcher, WaitsForATrigger) {
  Model m;
  IrBuilder b;
  const auto run = m.run(b, b.sequence({b.special("<|call|>"), b.literal("("), json_text(b, 0, 5), b.literal(")")}));
  Matcher special(run, {"<|call|>"});
  for (const char c : std::string("I call <|cal no")) special.accept(static_cast<uint8_t>(c));
  EXPECT_FALSE(special.active());
  special.accept(m.call);
  EXPECT_TRUE(special.active());
  EXPECT_EQ(special.forced(), (std::vector<int32_t>{m.id("(")}));
  Matcher text(run, {"<|call|>"});
  for (const char c : std::string("so: <|call|>")) text.accept(static_cast<uint8_t>(c));
  EXPECT_TRUE(text.active());
  Matcher other(run, {"name"});  // the grammar does not begin with this trigger
  other.accept(m.id("name"));
  EXPECT_FALSE(other.active());
}

// A listed text with a character for which the vocabulary lacks bytes, as SmolLM2's does, is written with its escape.
TEST(Matcher, WritesWhatTheVocabularyLacksAsAnEscape) {
  const auto ascii = std::make_shared<const Vocabulary>(
      128, [](int32_t id) { return std::string(1, static_cast<char>(id)); }, std::span<const int32_t>{});
  IrBuilder b;
  const auto json = add_json_schema(R"({"enum": ["a\ud9c0\udc00", "\ud9c0\udc00"]})", {}, b);
  ASSERT_TRUE(json.has_value());
  auto ir = b.finish(json->root);
  ASSERT_TRUE(ir.has_value());
  const auto run = std::make_shared<GrammarRun>(std::make_shared<const Ir>(std::move(*ir)), ascii,
                                                [](std::string_view) { return std::vector<int32_t>{}; });
  Matcher matcher(run, {});
  EXPECT_EQ(matcher.shortest_end(100)->size(), std::string_view(R"("\ud9c0\udc00")").size()) << "not the raw character";
  std::string text;
  while (!matcher.complete() && text.size() < 100) {
    const auto mask = matcher.mask();
    ASSERT_TRUE(mask.has_value()) << mask.error().message << " after " << text;
    for (int32_t id = 0; id < 128; ++id) {
      if (((**mask)[static_cast<size_t>(id) / 32] >> (id % 32) & 1u) == 0) continue;
      text.push_back(static_cast<char>(id));
      matcher.accept(id);
      break;
    }
  }
  EXPECT_EQ(text, R"("\ud9c0\udc00")");
}

TEST(Matcher, SaysWhatTheVocabularyCannotWrite) {
  Model m;
  const auto few = std::make_shared<const Vocabulary>(
      3, [](int32_t id) { return std::string(1, "abc"[id]); }, std::span<const int32_t>{});
  IrBuilder b;
  auto ir = b.finish(b.literal("ad"));
  const auto run = std::make_shared<GrammarRun>(std::make_shared<const Ir>(std::move(*ir)), few,
                                                [](std::string_view) { return std::vector<int32_t>{}; });
  Matcher matcher(run, {});
  matcher.accept(0);
  const auto mask = matcher.mask();
  ASSERT_FALSE(mask.has_value());
  EXPECT_EQ(mask.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(matcher.shortest_end(10).has_value());
}

}  // namespace
}  // namespace quern::grammar
