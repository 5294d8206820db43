#include "grammar/regex.h"

#include <gtest/gtest.h>

#include <regex>

#include "base/rng.h"
#include "grammar/regex_class.h"

namespace quern::grammar {
namespace {

struct Case {
  std::string_view pattern, text;
  bool matches;
};

void check(const std::vector<Case>& cases, const RegexOptions& options = {}) {
  for (const Case& c : cases) {
    const auto dfa = regex_dfa(c.pattern, options);
    ASSERT_TRUE(dfa) << c.pattern << ": " << dfa.error().message;
    EXPECT_EQ(dfa->matches(c.text), c.matches) << c.pattern << " on \"" << c.text << '"';
  }
}

TEST(Regex, SearchesUnlessAnchored) {
  check({{"b", "abc", true},    {"b", "ac", false},     {"^b", "abc", false},   {"^a", "abc", true},
         {"c$", "abc", true},   {"b$", "abc", false},   {"^abc$", "abc", true}, {"^abc$", "abcd", false},
         {"", "", true},        {"", "anything", true}, {"^$", "", true},       {"^$", "x", false},
         {"^a|b$", "ax", true}, {"^a|b$", "xb", true},  {"^a|b$", "xa", false}, {"(^a|b$)", "xb", true},
         {"$", "abc", true},    {"c$|^b", "abc", true}, {"^a$", "a\n", false},  {"a", "\na\n", true}});
}

// Where ^ and $ stand inside, they hold only at the ends of the text all the same.
TEST(Regex, AnchorsHoldAnywhere) {
  check({{"x*^a", "a", true},
         {"x*^a", "xa", false},
         {"a$b*", "a", true},
         {"a$b*", "ab", false},
         {"(?:^|,)a", "a", true},
         {"(?:^|,)a", "b,a", true},
         {"(?:^|,)a", "ba", false},
         {"a(?:,|$)", "ba", true},
         {"a(?:,|$)", "ab", false},
         {"$^", "", true},
         {"$^", "a", false},
         {"(?:^a|b)+$", "ab", true},
         {"(?:^a|b)+$", "aab", true},
         {"^(?:^a|b)+$", "aab", false},
         {"a^", "a", false}});
}

TEST(Regex, WholeTakesNoMore) {
  check({{"a|ab", "ab", true}, {"a", "ab", false}, {"^a$", "a", true}, {"a*", "", true}, {"", "a", false}},
        {.whole = true});
}

TEST(Regex, Quantifiers) {
  check({{"^a?$", "aa", false},
         {"^a+$", "", false},
         {"^a{2}$", "aa", true},
         {"^a{2}$", "aaa", false},
         {"^a{2,}$", "aaaa", true},
         {"^a{2,}$", "a", false},
         {"^a{1,2}$", "aaa", false},
         {"^a{0}$", "", true},
         {"^a{0}$", "a", false},
         {"^(ab){2,3}$", "abab", true},
         {"^(ab){2,3}$", "ab", false},
         {"^(a*)*$", "aaa", true},
         {"^(a|b?)+c$", "abbac", true},
         {"^a*?b+?c??$", "aabb", true},
         {"^a{1,2}?$", "aa", true},
         {"^(?:a{0,2}){2}$", "aaaa", true},
         {"^(?:a{0,2}){2}$", "aaaaa", false}});
}

TEST(Regex, GroupsAndAlternatives) {
  check({{"^(?:a|b|)c$", "c", true},
         {"^(a(b(c)))$", "abc", true},
         {"^(?<year>\\d+)$", "12", true},
         {"^(|a)$", "a", true},
         {"^()$", "", true},
         {"^(?:foo|ba[rz])+$", "foobarbaz", true},
         {"^(?:foo|ba[rz])+$", "fooba", false}});
}

TEST(Regex, Classes) {
  check({{"^[abc]$", "b", true},       {"^[^abc]$", "b", false},
         {"^[^abc]$", "\n", true},     {"^[a-c-e]$", "-", true},
         {"^[a-c-e]$", "d", false},    {"^[-a]$", "-", true},
         {"^[a-]$", "-", true},        {"^[\\w-.]$", "-", true},
         {"^[\\w-.]$", "!", false},    {"^[a\\-z]$", "b", false},
         {"^[\\]]$", "]", true},       {"^[^]$", "a", true},
         {"^[]$", "a", false},         {"^[\\b]$", "\b", true},
         {"^[.*+?()|^$]$", "|", true}, {"^[é-ü]$", "ö", true},
         {"^[\\d_]$", "7", true},      {"^[a-\\d]$", "-", true},
         {"^[a-\\d]$", "b", false},    {"^[\\u{1F600}-\\u{1F64F}]$", "😀", true},
         {"^[😀-🙏]$", "😅", true},    {"^[^\\W]$", "a", true},
         {"^[^\\W]$", "-", false},     {"^[\\s\\S]$", "\n", true},
         {"^[^\\d\\s]$", "x", true},   {"^[^\\d\\s]$", "5", false},
         {"^[+--]$", ",", true}});
}

TEST(Regex, DotStopsAtLineEnds) {
  check({{"^.$", "a", true},
         {"^.$", "\n", false},
         {"^.$", "\r", false},
         {"^.$", "\u2028", false},
         {"^.$", "\u2029", false},
         {"^.$", "\u0085", true},
         {"^.$", "😀", true},
         {"^..$", "é", false}});
}

TEST(Regex, NamedClassesAreThoseOfEcma) {
  check({{"^\\d$", "5", true},
         {"^\\d$", "٣", false},
         {"^\\w$", "_", true},
         {"^\\w$", "é", false},
         {"^\\s$", "\u00A0", true},
         {"^\\s$", "\t", true},
         {"^\\s$", "\u2029", true},
         {"^\\s$", "\u200B", false},
         {"^\\D$", "x", true},
         {"^\\D$", "5", false},
         {"^\\W$", "-", true},
         {"^\\W$", "a", false},
         {"^\\S$", "é", true},
         {"^\\S$", " ", false}});
}

// Python's and Rust's \d and \w hold more than ECMA-262's, and each has its own \s.
TEST(Regex, NegationsHoldWhatEveryDialectTakes) {
  check({{"^\\D$", "٣", false},
         {"^[^\\d]$", "٣", false},
         {"^\\W$", "é", false},
         {"^[^\\w]$", "é", false},
         {"^\\S$", "\x1C", false},
         {"^\\S$", "\u0085", false},
         {"^[^\\s]$", "\uFEFF", false},
         {"^\\S$", "\uFEFF", false},
         {"^[^\\d]$", "é", true},
         {"^[^\\D]$", "5", true},
         {"^[^\\D]$", "٣", false}});
  for (const char letter : {'d', 'w', 's'}) {
    const CodePoints &in = regex_class(letter), &out = regex_class(static_cast<char>(letter - 'a' + 'A'));
    EXPECT_EQ(difference(in, out), in) << letter;
    EXPECT_EQ(normalized(out), out) << letter;
  }
}

TEST(Regex, Properties) {
  check({{"^\\p{L}$", "é", true},
         {"^\\p{L}$", "5", false},
         {"^\\P{L}$", "5", true},
         {"^\\p{Lu}$", "É", true},
         {"^\\p{Lu}$", "é", false},
         {"^\\p{Letter}$", "漢", true},
         {"^\\p{gc=Nd}$", "٣", true},
         {"^\\p{General_Category=Punctuation}$", "¿", true},
         {"^[\\p{L}\\p{N}_]+$", "é٣_", true},
         {"^[^\\p{L}]$", "é", false},
         {"^[\\P{L}]$", "5", true},
         {"^\\p{Zs}$", " ", true},
         {"^\\p{ASCII}$", "é", false},
         {"^\\p{Any}$", "é", true},
         {"^\\p{LC}$", "ǅ", true},
         {"^\\p{Sc}$", "€", true}});
}

TEST(Regex, Escapes) {
  check({{"^\\x41$", "A", true},
         {"^\\u0041$", "A", true},
         {"^\\u{1F600}$", "😀", true},
         {"^\\uD83D\\uDE00$", "😀", true},
         {"^\\uD83D\\u0041$", "A", false},
         {"^\\t\\n\\v\\f\\r\\0$", std::string_view("\t\n\v\f\r\0", 6), true},
         {"^\\cJ$", "\n", true},
         {"^\\.\\/\\-\\_\\@$", "./-_@", true},
         {"^\\$\\^\\\\$", "$^\\", true},
         {"^\\{\\}$", "{}", true},
         {"^a{b}$", "a{b}", true},
         {"^a{,2}$", "a{,2}", true},
         {"^]}$", "]}", true},
         {"^\\[x\\]$", "[x]", true}});
}

ErrorCode code_of(std::string_view pattern) {
  const auto dfa = regex_dfa(pattern);
  EXPECT_FALSE(dfa) << pattern;
  return dfa ? ErrorCode::kIo : dfa.error().code;
}

TEST(Regex, RefusesByNameWhatIsNotSupported) {
  for (const char* p : {"(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "a\\b", "\\Ba", "(a)\\1", "(?<n>a)\\k<n>",
                        "\\p{Script=Latin}", "\\p{Emoji}", "(?i)a", "(?P<n>a)", "(?#x)", "[\\p{Alphabetic}]"}) {
    EXPECT_EQ(code_of(p), ErrorCode::kUnsupported) << p;
  }
  EXPECT_NE(regex_dfa("ab\\bc").error().message.find("byte 2: \\b, a word boundary"), std::string::npos);
  EXPECT_NE(regex_dfa("\\p{Script=Latin}").error().message.find("\\p{Script=Latin}"), std::string::npos);
}

TEST(Regex, RefusesWhatIsMalformed) {
  for (const char* p : {"(",     "(a",          "a)",     "[a",      "[a-",       "[\\",        "*",    "a**",  "a*+",
                        "+a",    "^*",          "{2}",    "a{2}{3}", "a{3,2}",    "[b-a]",      "\\",   "\\x4", "\\u12",
                        "\\u{}", "\\u{110000}", "\\u{41", "\\q",     "\\A",       "\\c1",       "\\01", "\\p",  "\\pL",
                        "a|*",   "(?",          "(?:",    "\xFF",    "[\\d-\\q]", "[z-\\u{41}]"}) {
    const ErrorCode code = code_of(p);
    EXPECT_TRUE(code == ErrorCode::kInvalidArgument || (p == std::string_view("(?") && code == ErrorCode::kUnsupported))
        << p;
  }
}

// Refused, and fast: a time-out of the test would tell.
TEST(Regex, RefusesWhatTakesTooMuch) {
  for (const std::string& p :
       {std::string("(a{1000}){1000}"), std::string("(?:(?:(?:(?:){9999}){9999}){9999}){9999}"),
        std::string("^(a|b)*a(a|b){30}$"), std::string("^(?:a?){5000}(?:b?a?){5000}$"), std::string("^\\p{L}{19000}$"),
        std::string(101, '(') + std::string(101, ')'), std::string(40'000, 'a')}) {
    EXPECT_EQ(code_of(p), ErrorCode::kResource) << p.substr(0, 40);
  }
  std::string classes;  // thousands of different sets
  for (int i = 0; classes.size() < 32'000; ++i) classes += fmt::format("[^\\u{{{:x}}}]", 0x1000 + i * 3);
  EXPECT_EQ(code_of(classes + "|" + "(?:.?){2000}"), ErrorCode::kResource);
}

TEST(Regex, TakesWhatIsLargeButPlain) {
  std::string names, classes;
  for (int i = 0; i < 2000; ++i) names += (i == 0 ? "^(?:n" : "|n") + std::to_string(i * 7919 % 10'000);
  for (int i = 0; i < 4000; ++i) classes += "\\w\\p{L}";
  check({{names + ")$", "n7919", true},
         {names + ")$", "n7918", false},
         {"^[^" + classes.substr(0, 30'000) + "]$", "-", true},
         {"^[a-z]{1,5000}$", "abc", true},
         {"^\\p{L}{1,255}$", "éa", true},
         {std::string(90, '(') + "a" + std::string(90, ')'), "a", true},
         {"^(?:a?){500}$", "aaa", true}});
}

// Against libstdc++'s matcher, on random patterns and all short texts.
TEST(Regex, AgreesWithAnotherEngine) {
  SplitMix64 random(23);
  const auto below = [&](size_t n) { return static_cast<size_t>(random.next() % n); };
  const auto make = [&](auto&& self, int depth) -> std::string {
    static const char* const kAtoms[] = {"a", "b", "c", "[ab]", "[^a]", ".", "\\w", "[^b-c]"};
    static const char* const kQuantifiers[] = {"*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "*?", "+?"};
    std::string made;
    for (size_t alternatives = 1 + below(2); alternatives > 0; --alternatives) {
      if (below(12) == 0) made += '^';
      for (size_t terms = below(4); terms > 0; --terms) {
        made += depth > 0 && below(3) == 0 ? "(" + self(self, depth - 1) + ")" : kAtoms[below(8)];
        if (below(3) == 0) made += kQuantifiers[below(9)];
      }
      if (below(12) == 0) made += '$';
      if (alternatives > 1) made += '|';
    }
    return made;
  };
  std::vector<std::string> texts{""};
  for (size_t i = 0; i < 40; ++i) {
    for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
  }
  for (int round = 0; round < 200; ++round) {
    const std::string pattern = make(make, 2);
    const std::regex other(pattern);
    const auto search = regex_dfa(pattern), whole = regex_dfa(pattern, {.whole = true});
    ASSERT_TRUE(search && whole) << pattern;
    for (const std::string& text : texts) {
      ASSERT_EQ(search->matches(text), std::regex_search(text, other)) << pattern << " on " << text;
      ASSERT_EQ(whole->matches(text), std::regex_match(text, other)) << pattern << " on all of " << text;
    }
  }
}

}  // namespace
}  // namespace quern::grammar
