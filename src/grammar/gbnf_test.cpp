#include "grammar/gbnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace quern::grammar {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Where a rule may end, by trying everything: what a grammar means, to compare with.
class Recognizer {
 public:
  Recognizer(const Ir& ir, std::string_view text) : ir_(ir), text_(text) {}
  bool matches() { return ends(ir_.root, 0).contains(text_.size()); }

 private:
  std::set<size_t> ends(uint32_t rule, size_t at) {
    const auto [known, fresh] = known_.try_emplace({rule, at});
    if (!fresh) return known->second;  // empty while it is being found out
    std::set<size_t> all;
    for (uint32_t a = ir_.rules[rule].first; a < ir_.rules[rule].last; ++a) {
      std::set<size_t> places = {at};
      for (uint32_t s = ir_.alternatives[a].first; s < ir_.alternatives[a].last; ++s)
        places = after(ir_.symbols[s], places);
      all.merge(places);
    }
    return known_[{rule, at}] = all;
  }

  std::set<size_t> after(Symbol symbol, const std::set<size_t>& places) {
    std::set<size_t> next;
    for (const size_t at : places) {
      if (symbol.kind == Symbol::Kind::kRule) {
        next.merge(ends(symbol.index, at));
      } else if (at < text_.size() && ir_.sets[symbol.index].has(static_cast<uint8_t>(text_[at]))) {
        next.insert(at + 1);
      }
    }
    return next;
  }

  const Ir& ir_;
  std::string_view text_;
  std::map<std::pair<uint32_t, size_t>, std::set<size_t>> known_;
};

void expect_texts(std::string_view source, const std::vector<std::string>& inside,
                  const std::vector<std::string>& outside) {
  const auto ir = read_gbnf(source);
  ASSERT_TRUE(ir) << source << "\n" << ir.error().message;
  for (const std::string& text : inside)
    EXPECT_TRUE(Recognizer(*ir, text).matches()) << source << "\nhas not: " << text;
  for (const std::string& text : outside) EXPECT_FALSE(Recognizer(*ir, text).matches()) << source << "\nhas: " << text;
}

void expect_wrong(std::string_view source, std::string_view message, ErrorCode code = ErrorCode::kInvalidArgument) {
  const auto ir = read_gbnf(source);
  ASSERT_FALSE(ir) << source;
  EXPECT_EQ(ir.error().code, code) << source;
  EXPECT_THAT(ir.error().message, HasSubstr(message)) << source;
}

TEST(Gbnf, SequencesAlternativesAndGroups) {
  expect_texts("root ::= \"a\" (\"b\" | \"c\" \"d\") \"e\"", {"abe", "acde"}, {"", "ae", "abcde", "ace", "abee"});
  expect_texts("yes ::= \"yes\"\nroot ::= yes | \"n\" |", {"yes", "n", ""}, {"y", "no"});
  expect_texts("root ::= () \"\" \"x\" (|\"y\")", {"x", "xy"}, {"", "y"});
}

TEST(Gbnf, LinesAndComments) {
  expect_texts(
      "# head\n\n  root ::=   # behind it\n  a |  # or\n\n b (\n c # in a group\n\n)\na::=\"1\"\n\nb ::= \"2\"\r\nc "
      "::= \"3\"",
      {"1", "23"}, {"2", "13"});
  expect_texts("root ::= \"a\"\n  # which goes on\n  | \"b\"\n\n| \"c\"\r\n", {"a", "b", "c"}, {""});
  expect_texts("\xEF\xBB\xBFroot ::= \"a\"\rother ::= \"b\"", {"a"}, {"b"});
  expect_texts("root ::= ( \"a\"\n*\n{\n2\n,\n3 } )", {"", "aaaa"}, {"b"});
}

TEST(Gbnf, Names) {
  expect_texts("root ::= check-mate UPPER_case 1st\ncheck-mate ::= \"#\"\nUPPER_case ::= \"U\"\n1st ::= \"1\"", {"#U1"},
               {"#U"});
  expect_texts("unused ::= root unused2\nunused2 ::= \"x\" unused2\nroot ::= \"r\"", {"r"}, {"rx"});
}

TEST(Gbnf, Repetitions) {
  expect_texts("root ::= \"ab\"*", {"", "ab", "abab"}, {"a", "aba"});
  expect_texts("root ::= \"a\" + [b] ?", {"a", "aaab"}, {"", "b", "abb"});
  expect_texts("root ::= [ab]{2}", {"ab", "bb"}, {"a", "aba"});
  expect_texts("root ::= a{ 2 , }\na ::= \"x\"", {"xx", "xxxxx"}, {"x"});
  expect_texts("root ::= (\"a\" | \"bc\"){1,2}", {"a", "bc", "abc", "bca"}, {"", "aaa"});
  expect_texts("root ::= \"a\"{0} \"b\"{0,1}", {"", "b"}, {"a", "bb"});
  expect_texts("root ::= (((\"a\"?)*)+){2}\"b\"?", {"", "aaaa", "ab"}, {"bb"});
  expect_texts("root ::= \"a\"{2}{3}", {"aaaaaa"}, {"aaaaa", "aaaaaaa"});
}

TEST(Gbnf, LiteralsAndEscapes) {
  expect_texts(R"(root ::= "\"\\\t\r\n[\]\-\^" "\x41\u00e9\U0001F600")", {"\"\\\t\r\n[]-^Aé😀"},
               {"\"\\\t\r\n[]-^A\xe9😀"});
  expect_texts("root ::= \"é日\" \"two\nlines\"", {"é日two\nlines"}, {"é日two"});
  expect_texts(R"(root ::= "\x00" "'/#|")", {std::string("\0'/#|", 5)}, {"'/#|"});
}

TEST(Gbnf, Classes) {
  expect_texts("root ::= [a-cx]", {"a", "b", "c", "x"}, {"", "d", "-", "ab"});
  expect_texts("root ::= [-a]+ [a-]+ [^-]", {"-ab", "a-b", "--a"}, {"a", "-a", "-a-"});
  expect_texts(R"(root ::= [\]\[\^"] [^\]\n])", {"]a", "[\"", "^^", "\"["}, {"]]", "a\n", "]\n"});
  expect_texts("root ::= [ぁ-ゟ] [^a-zß]{2}", {"あé1", "ん日😀"}, {"aéé", "あßé", "あéz", "あé\xC3"});
  expect_texts(R"(root ::= [\x20-\x21\x23-\x5b\x5d-\U0010FFFF])", {" ", "!", "~", "é", "\xF4\x8F\xBF\xBF"},
               {"\"", "\\", "\n", "\xED\xA0\x80"});
  expect_texts("root ::= . .", {"a\n", "é😀", "\"'"}, {"a", "abc", "\xFF\xFE"});
  expect_texts(R"(root ::= "x" | [\uD800-\uDFFF])", {"x"}, {"", "\xED\xA0\x80"});
}

TEST(Gbnf, Recursion) {
  constexpr std::string_view kJson = R"(
root    ::= object
value   ::= object | list | string | ("true" | "false" | "null") ws
object  ::= "{" ws ( pair ("," ws pair)* )? "}" ws
pair    ::= string ":" ws value
list    ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string  ::= "\"" (
    [^"\\\x00-\x1f] |  # as it is
    "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
  )* "\"" ws
ws ::= ([ \t\n] ws)?
)";
  expect_texts(kJson, {"{}", R"({"a": [true, {}, "\u00e9\n"]})", "{ \"é\":null }"},
               {"", "[]", "{", R"({"a": "\x"})", R"({"a": [true,]})", "{\"a\":\"\n\"}"});
}

TEST(Gbnf, SpecialTokens) {
  const std::string special(1, static_cast<char>(kSpecialByte));
  expect_texts("root ::= <think> [^<]* </think>* \"done\"",
               {special + "<think>hm" + special + "</think>done", "<think></think></think>done", "<think>done"},
               {"thinkdone"});
  expect_texts("root ::= <|tool call|>?", {"", special + "<|tool call|>"}, {special});
  expect_wrong("root ::= \"a\" <[1000]>", "line 1, column 14: token ids", ErrorCode::kUnsupported);
  expect_wrong("root ::= !</think>*", "line 1, column 10: negated tokens", ErrorCode::kUnsupported);
  expect_wrong("root ::= (!<[1]>)", "negated tokens", ErrorCode::kUnsupported);
  expect_wrong("root ::= <think\n>", "line 1, column 10: the token");
  expect_wrong("root ::= <>", "no name");
  expect_wrong("root ::= <\xFF>", "column 11: the byte 0xFF is not UTF-8");
}

TEST(Gbnf, ErrorsSayWhere) {
  expect_wrong("", "no rule \"root\"");
  expect_wrong("start ::= \"a\"", "no rule \"root\"");
  expect_wrong("root ::= a\r\n\r\nb ::= missing | other\r\na ::= b",
               "line 3, column 7: the rule \"missing\" is not defined");
  expect_wrong("root ::= \"é\" 日", "line 1, column 14: expected an item, found \"日\"");
  expect_wrong("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule \"root\" is defined twice");
  expect_wrong("root = \"a\"", "line 1, column 6: expected ::= after \"root\", found \"=\"");
  expect_wrong("root", "expected ::= after \"root\", found the end");
  expect_wrong("root ::=\nnext ::= \"a\"", "line 2, column 6: expected an item, found \":\"");
  expect_wrong("root ::= \"a\"\n  \"b\"", "line 2, column 3: expected the name of a rule");
  expect_wrong("root ::= \"a\" )", "column 14: expected an item, | or the end of the line, found \")\"");
  expect_wrong("root ::= (\"a\"\n\"b\"", "column 10: the group that begins here is not closed");
  expect_wrong("root ::= ~", "expected an item, found \"~\"");
  expect_wrong("root ::= (~)", "expected an item, found \"~\"");
  expect_wrong("root ::= \x01", "found the byte 0x01");
}

TEST(Gbnf, BadItems) {
  expect_wrong("root ::= \"a", "column 10: the literal that begins here is not closed");
  expect_wrong("root ::= \"a\\", "unknown escape");
  expect_wrong("root ::= [a", "column 10: the class that begins here is not closed");
  expect_wrong("root ::= [a-", "not closed");
  expect_wrong("root ::= []", "the class [] is empty");
  expect_wrong("root ::= [^]", "the class [^] is empty");
  expect_wrong("root ::= [bz-a]", "column 12: the range from U+007A to U+0061");
  expect_wrong(R"(root ::= "\q")", "column 11: an unknown escape");
  expect_wrong(R"(root ::= "\x4")", "\\x takes 2 hexadecimal digits");
  expect_wrong(R"(root ::= [\u12G4])", "\\u takes 4");
  expect_wrong(R"(root ::= "\U00110000")", "U+110000 is beyond");
  expect_wrong(R"(root ::= "ab\ud83d")", "column 13: U+D83D is half of a character");
  expect_wrong("root ::= \"\xC3\"", "column 11: the byte 0xC3 is not UTF-8");
  expect_wrong("root ::= [\xED\xA0\x80]", "not UTF-8");
}

TEST(Gbnf, BadRepetitions) {
  expect_wrong("root ::= *", "column 10: \"*\" stands behind nothing");
  expect_wrong("root ::= \"a\" | + \"b\"", "\"+\" stands behind nothing");
  expect_wrong("root ::= \"a\"{,3}", "expected a number of repetitions, found \",\"");
  expect_wrong("root ::= \"a\"{2,3", "expected } at the end of a repetition, found the end");
  expect_wrong("root ::= \"a\"{3,2}", "column 13: the repetition {3,2} ends before it begins");
  expect_wrong("root ::= \"a\"{99999999999999999999999}", "column 14: more than 100000", ErrorCode::kResource);
}

TEST(Gbnf, WhatCannotBeMatched) {
  expect_wrong("root ::= \"a\" root", "matches nothing");
  expect_wrong("root ::= root \"a\" | \"b\"", "left-recursive: the rule \"root\" begins with itself;");
  expect_wrong("root ::= a \"b\" | \"b\"\na ::= \"x\"? root",
               "left-recursive: the rule \"root\" begins with \"a\", \"a\" with \"root\";");
  expect_wrong(
      "root ::= \"(\" e \")\"\ne ::= (t | \"-\" e)\nt ::= \"\" f?\nf ::= e (\"+\" t)* \"x\" | \"1\"\nu ::= u u | \"\"",
      "left-recursive: the rule \"e\" begins with \"t\", \"t\" with \"f\", \"f\" with \"e\";");
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 20; ++i) chain += fmt::format("r{} ::= r{} \"a\" | \"b\"\n", i, (i + 1) % 20);
  expect_wrong(chain, "\"r7\" with \"r8\", and so on through 12 more;");
  expect_wrong(R"(root ::= [^\x00-\U0010FFFF])", "matches nothing");
}

TEST(Gbnf, SizesAreBounded) {
  const auto nested = [](size_t depth) {
    return "root ::= " + std::string(depth, '(') + "\"a\"" + std::string(depth, ')');
  };
  expect_texts(nested(200), {"a"}, {""});
  expect_wrong(nested(201), "nested deeper than 200", ErrorCode::kResource);
  expect_wrong(nested(1'000'000), "nested deeper than 200", ErrorCode::kResource);
  expect_wrong(std::string(5 << 20, ' '), "bytes, more than", ErrorCode::kResource);
  std::string many = "root ::= \"a\"{100000}";
  for (int i = 0; i < 6; ++i) many += " \"a\"{100000}";
  expect_wrong(many, "more than 1048576 symbols", ErrorCode::kResource);
}

// Repetitions of repetitions are rules that name each other, not copies; their length saturates.
TEST(Gbnf, RepetitionsMultiply) {
  const auto ir = read_gbnf("root ::= \"ab\"{1000}{1000}{2}");
  ASSERT_TRUE(ir);
  EXPECT_EQ(ir->least_bytes[ir->root], 4'000'000u);
  EXPECT_LT(ir->rules.size(), 3000u);
  const auto huge =
      read_gbnf("root ::= \"a\"{1000}{1000}{1000}{1000}{1000}{1000}{1000}{1000} | \"b\"{1000}{1000}{1000}{1000}");
  ASSERT_TRUE(huge);
  EXPECT_EQ(huge->least_bytes[huge->root], std::numeric_limits<uint32_t>::max() - 1);
}

TEST(Gbnf, ClassesAreMadeOnce) {
  std::string source = "root ::= [^a-z]";
  const auto once = read_gbnf(source);
  for (int i = 0; i < 100; ++i) source += " [^a-z]";
  const auto often = read_gbnf(source);
  ASSERT_TRUE(once && often);
  EXPECT_LE(often->rules.size(), once->rules.size() + 1);
}

}  // namespace
}  // namespace quern::grammar
