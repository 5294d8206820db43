#include "grammar/dfa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "grammar/code_points.h"
#include "grammar/regex.h"
#include "tests/support/ir_match.h"

namespace quern::grammar {
namespace {

Dfa whole(std::string_view pattern) {
  auto dfa = regex_dfa(pattern, {.whole = true});
  EXPECT_TRUE(dfa) << pattern << ": " << dfa.error().message;
  return dfa ? *dfa : Dfa::of({});
}

bool same(const Dfa& a, const Dfa& b) {
  const Dfa x = a.minimal(), y = b.minimal();
  if (x.states().size() != y.states().size()) return false;
  for (size_t s = 0; s < x.states().size(); ++s) {
    if (x.states()[s].edges != y.states()[s].edges || x.states()[s].accepts != y.states()[s].accepts) return false;
  }
  return true;
}

// All texts of up to `n` of these characters.
std::vector<std::string> all_texts(const std::vector<std::string>& characters, size_t n) {
  std::vector<std::string> texts{""};
  for (size_t i = 0, from = 0; i < n; ++i) {
    const size_t end = texts.size();
    for (; from < end; ++from) {
      for (const std::string& c : characters) texts.push_back(texts[from] + c);
    }
  }
  return texts;
}

const std::vector<std::string> kTexts = all_texts({"a", "b", "é"}, 6);

TEST(CodePoints, SurrogatesAreNone) {
  EXPECT_EQ(normalized({{0xD900, 0xE001}, {5, 0xD7FF}}), (CodePoints{{5, 0xE001}}));
  EXPECT_EQ(normalized({{0xD800, 0xDFFF}}), CodePoints{});
  EXPECT_EQ(normalized({{0xD7FE, 0xDA00}}), (CodePoints{{0xD7FE, 0xD7FF}}));
  EXPECT_EQ(complement({{0, 0xD7FF}}), (CodePoints{{0xE000, 0x10FFFF}}));
  EXPECT_EQ(complement({{0xE000, 0x10FFFF}}), (CodePoints{{0, 0xD7FF}}));
  EXPECT_EQ(complement({}), (CodePoints{{0, 0x10FFFF}}));
  EXPECT_EQ(complement({{0, 0x10FFFF}}), CodePoints{});
  EXPECT_EQ(difference({{'a', 'z'}}, {{'c', 'd'}, {'z', 0x100}}), (CodePoints{{'a', 'b'}, {'e', 'y'}}));
  EXPECT_TRUE(contains({{1, 2}, {5, 9}}, 9));
  EXPECT_FALSE(contains({{1, 2}, {5, 9}}, 4));
  EXPECT_FALSE(contains({{1, 2}}, 0));
}

TEST(Dfa, AnyAndNone) {
  EXPECT_TRUE(Dfa::any().matches(""));
  EXPECT_TRUE(Dfa::any().matches("a\n\U0010FFFF"));
  EXPECT_FALSE(Dfa::any().matches("\xC3")) << "not UTF-8";
  EXPECT_FALSE(Dfa::any().empty());
  const Dfa none = Dfa::of({});
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.matches(""));
  EXPECT_TRUE(same(*none.complement(), Dfa::any()));
  EXPECT_TRUE(Dfa::any().complement()->empty());
}

TEST(Dfa, TextsAreExactlyThese) {
  const std::vector<std::string_view> texts = {"b", "ab", "aé", "", "ab", "a\U0001F600"};
  const auto dfa = Dfa::texts(texts);
  ASSERT_TRUE(dfa) << dfa.error().message;
  for (const auto text : texts) EXPECT_TRUE(dfa->matches(text)) << text;
  for (const char* text : {"a", "abb", "é", "ba"}) EXPECT_FALSE(dfa->matches(text)) << text;
  EXPECT_TRUE(Dfa::texts({})->empty());
  const std::vector<std::string_view> invalid = {"a\xFFz"};
  ASSERT_FALSE(Dfa::texts(invalid));
  EXPECT_EQ(Dfa::texts(invalid).error().code, ErrorCode::kInvalidArgument);
}

TEST(Dfa, LengthsAreOfCharacters) {
  for (const auto& [least, most] :
       std::vector<std::pair<size_t, size_t>>{{0, 0}, {0, 2}, {2, 2}, {1, 4}, {3, IrBuilder::kUnbounded}}) {
    const auto dfa = Dfa::length(least, most);
    ASSERT_TRUE(dfa) << dfa.error().message;
    std::string text;
    for (size_t n = 0; n < 6; ++n, text += "é") EXPECT_EQ(dfa->matches(text), n >= least && n <= most) << n;
  }
  EXPECT_TRUE(Dfa::length(3, 2)->empty());
  ASSERT_FALSE(Dfa::length(0, Dfa::kMaxStates));
  EXPECT_EQ(Dfa::length(0, Dfa::kMaxStates).error().code, ErrorCode::kResource);
}

TEST(Dfa, OperationsAreThoseOfSets) {
  const char* patterns[] = {"",       "a*",      "(?:a|b)*abb", "[^a]*é",   "(?:ab|ba|é){1,3}",
                            "a?b?é?", ".*bab.*", "[^]*a[^]",    "b{2,4}|é*"};
  for (const char* p : patterns) {
    const Dfa a = whole(p), not_a = *a.complement();
    for (const char* q : patterns) {
      const Dfa b = whole(q), both = *Dfa::intersection(a, b), either = *Dfa::join(a, b);
      for (const std::string& text : kTexts) {
        ASSERT_EQ(both.matches(text), a.matches(text) && b.matches(text)) << p << " and " << q << ": " << text;
        ASSERT_EQ(either.matches(text), a.matches(text) || b.matches(text)) << p << " or " << q << ": " << text;
      }
      EXPECT_TRUE(same(*Dfa::join(not_a, *b.complement()), *both.complement())) << "de Morgan: " << p << ", " << q;
    }
    for (const std::string& text : kTexts) ASSERT_NE(a.matches(text), not_a.matches(text)) << p << ": " << text;
    EXPECT_TRUE(same(*not_a.complement(), a)) << p;
    EXPECT_TRUE(Dfa::intersection(a, not_a)->empty()) << p;
  }
}

TEST(Dfa, MinimalHasTheFewestStates) {
  EXPECT_EQ(whole("(?:a|b)*abb").minimal().states().size(), 4u);
  EXPECT_EQ(whole("(?:a|aa|aaa)*").minimal().states().size(), 1u);
  EXPECT_EQ(whole("(?:a|b)*a(?:a|b){5}").minimal().states().size(), 64u);
  EXPECT_EQ(whole("foo|boo|zoo").minimal().states().size(), 4u);
  EXPECT_TRUE(same(whole("(?:a*b*)*"), whole("(?:a|b)*")));
  EXPECT_TRUE(same(whole("a(?:ba)*"), whole("(?:ab)*a")));
  // A state that cannot end, one that cannot be reached, and two that are alike.
  const Dfa dfa = Dfa::of({{.edges = {{'a', 'a', 1}, {'b', 'b', 2}, {'c', 'c', 3}}, .accepts = false},
                           {.edges = {}, .accepts = true},
                           {.edges = {}, .accepts = true},
                           {.edges = {{'x', 'x', 3}}, .accepts = false},
                           {.edges = {{'y', 'y', 1}}, .accepts = true}});
  const Dfa small = dfa.minimal();
  ASSERT_EQ(small.states().size(), 2u);
  EXPECT_EQ(small.states()[0].edges, (std::vector<Dfa::Edge>{{'a', 'b', 1}}));
}

TEST(Dfa, OfLengthCountsCharacters) {
  for (const char* p : {"(?:ab|é){0,3}", "(?:a|b)*abb", "a?b?é?", "[^]*a[^]"}) {
    const Dfa dfa = whole(p);
    for (const auto& [least, most] :
         std::vector<std::pair<size_t, size_t>>{{0, 3}, {2, 4}, {5, 5}, {4, 2}, {3, IrBuilder::kUnbounded}, {0, 99}}) {
      const auto within = dfa.of_length(least, most);
      ASSERT_TRUE(within) << p << ": " << within.error().message;
      for (const std::string& text : kTexts) {
        const auto n =
            static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
        ASSERT_EQ(within->matches(text), dfa.matches(text) && n >= least && n <= most) << p << ": " << text;
      }
      const auto product = Dfa::intersection(dfa, *Dfa::length(least, most));
      EXPECT_TRUE(same(*within, *product)) << p;
      EXPECT_EQ(within->states().size(), product->states().size()) << p << ": it is minimal";
    }
  }
}

TEST(Dfa, OfLengthTakesFewerTextsRatherThanTooManyStates) {
  const Dfa dfa = whole("(?:a|b)*a(?:a|b){5}");  // 64 states
  const auto within = dfa.of_length(10, 1'000'000);
  ASSERT_TRUE(within) << within.error().message;
  EXPECT_TRUE(within->matches(std::string(200, 'a')));
  EXPECT_FALSE(within->matches(std::string(9, 'a')));
  const auto never = dfa.of_length(100'000, 1'000'000);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, ErrorCode::kResource);
  EXPECT_TRUE(whole("abc").of_length(4, 1'000'000)->empty()) << "no text is so long";
}

// A chain is what parts one state at a time: quadratic, this would take seconds.
TEST(Dfa, MinimalTakesLongChains) {
  const Dfa chain = *Dfa::length(0, Dfa::kMaxStates - 2);
  EXPECT_EQ(chain.minimal().states().size(), Dfa::kMaxStates - 1);
  EXPECT_TRUE(same(*Dfa::intersection(chain, Dfa::any()), chain));
}

TEST(Dfa, RefusesWhatIsTooLarge) {
  // The last place counts from either end: 200 times 200 pairs.
  const auto a = *Dfa::length(0, 400), b = whole("(?:a|b)*a(?:a|b){9}");
  const auto both = Dfa::intersection(a, b);
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, ErrorCode::kResource);
}

TEST(Dfa, WritesTheTextsItMatches) {
  for (const char* pattern : {"a*", "(?:a|b)*abb", "[^a]*é", "(?:ab|ba|é){1,3}", "\\p{L}\\p{Lu}|é[^é]"}) {
    const Dfa dfa = whole(pattern);
    IrBuilder builder;
    const auto ir = builder.finish(dfa.write(builder));
    ASSERT_TRUE(ir) << ir.error().message;
    for (size_t i = 0; i < kTexts.size(); i += 3) {
      ASSERT_EQ(ir_matches(*ir, kTexts[i]), dfa.matches(kTexts[i])) << pattern << ": " << kTexts[i];
    }
    SplitMix64 random(5);
    for (int i = 0; i < 50; ++i) {
      const std::string text = ir_sample(*ir, random, 40);
      EXPECT_TRUE(dfa.matches(text)) << pattern << ": " << text;
    }
  }
  IrBuilder builder;
  EXPECT_FALSE(builder.finish(Dfa::of({}).write(builder))) << "matches nothing";
}

TEST(Dfa, WritesTheInsideOfJsonStrings) {
  const Dfa dfa = whole("(?:[^]|\\n\\n){0,5}|[\"\\\\\\u{1F600}\\x00-\\x1f]{6}");
  IrBuilder builder;
  const auto ir = builder.finish(dfa.write_json(builder));
  ASSERT_TRUE(ir) << ir.error().message;
  SplitMix64 random(17);
  for (int i = 0; i < 300; ++i) {
    const std::string text = ir_sample(*ir, random, 60);
    const auto value = nlohmann::json::parse('"' + text + '"', nullptr, false);
    ASSERT_TRUE(value.is_string()) << text;
    EXPECT_TRUE(dfa.matches(value.get<std::string>())) << text;
  }
  for (uint32_t c = 0; c < 0x80; ++c) {
    const std::string text(1, static_cast<char>(c)), quoted = nlohmann::json(text).dump();
    EXPECT_TRUE(ir_matches(*ir, quoted.substr(1, quoted.size() - 2))) << quoted;
    EXPECT_EQ(ir_matches(*ir, text), quoted.size() == 3) << quoted;
  }
  for (const char* text : {"\\/", "\\u0041", "\\u001F", "\\x", "\\"}) EXPECT_FALSE(ir_matches(*ir, text)) << text;
}

TEST(Dfa, SharedClassesDoNotSwellTheGrammar) {
  IrBuilder builder;
  const auto ir = builder.finish(whole("\\p{L}{1,200}").write(builder));
  ASSERT_TRUE(ir) << ir.error().message;
  EXPECT_LT(ir->symbols.size(), 4000u);
}

}  // namespace
}  // namespace quern::grammar
