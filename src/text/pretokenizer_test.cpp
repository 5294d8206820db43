#include "text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/support/sanitized.h"

namespace quern {
namespace {

using testing::ElementsAre;

std::vector<std::string> split(std::string_view name, std::string_view text) {
  auto pre = find_pretokenizer(name);
  EXPECT_TRUE(pre);
  std::vector<std::string> words;
  if (pre) (*pre)->split(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_THAT(split("gpt-2", "I've 123 don'T  x\n\n y!?"),
              ElementsAre("I", "'ve", " 123", " don", "'", "T", " ", " x", "\n\n", " y", "!?"));
}

TEST(PreTokenizer, Digits) {
  EXPECT_THAT(split("smollm", "a 1234"), ElementsAre("a", " ", "1", "2", "3", "4"));
  EXPECT_THAT(split("llama-bpe", "12345 1"), ElementsAre("123", "45", " ", "1"));
  EXPECT_THAT(split("falcon", "12345"), ElementsAre("123", "45"));
  EXPECT_THAT(split("superbpe", "x1234567"), ElementsAre("x", "1", "234", "567"));
  EXPECT_THAT(split("tiny_aya", "1234567 12345a"), ElementsAre("1", "234", "567", " ", "123", "45", "a"));
}

TEST(PreTokenizer, Llama3) {
  EXPECT_THAT(split("llama-bpe", "We'RE (here)\n\n  a\t\tb  \n c"),
              ElementsAre("We", "'RE", " (", "here", ")\n\n", " ", " a", "\t", "\tb", "  \n", " c"));
}

TEST(PreTokenizer, Marks) {
  // U+0301 is a mark: qwen35 keeps it with its letter, qwen2 does not.
  EXPECT_THAT(split("qwen35", "e\u0301a"), ElementsAre("e\u0301a"));
  EXPECT_THAT(split("qwen2", "e\u0301a"), ElementsAre("e", "\u0301a"));
}

TEST(PreTokenizer, Case) {
  EXPECT_THAT(split("gpt-4o", "HelloWorld don't ABC/\n"), ElementsAre("Hello", "World", " don't", " ABC", "/\n"));
  EXPECT_THAT(split("tekken", "HTMLparser don't"), ElementsAre("HTMLparser", " don", "'t"));
  EXPECT_THAT(split("gpt-4o", "\u6211A"), ElementsAre("\u6211", "A"));
  EXPECT_THAT(split("kimi-k2", "ab\u6211\u60F3cd"), ElementsAre("ab", "\u6211\u60F3", "cd"));
}

TEST(PreTokenizer, DeepSeek) {
  EXPECT_THAT(split("deepseek-v3", "a .b 1234\u6211x\n"),
              ElementsAre("a", " .", "b", " ", "123", "4", "\u6211", "x", "\n"));
  EXPECT_THAT(split("deepseek-llm", "a\n\nb  c12"), ElementsAre("a", "\n", "\n", "b", " ", " c", "12"));
  EXPECT_THAT(split("deepseek-coder", "a\n\nb, 12"), ElementsAre("a", "\n", "\n", "b", ",", " ", "1", "2"));
}

TEST(PreTokenizer, Others) {
  EXPECT_THAT(split("exaone-moe", "ab cd, e"), ElementsAre("ab cd", ",", " e"));
  EXPECT_THAT(split("bloom", "ab cd, e"), ElementsAre("ab", " cd", ",", " e"));
  EXPECT_THAT(split("jais-2", std::string(7, ' ') + "a"), ElementsAre("    ", "  ", " a"));
  EXPECT_THAT(split("chameleon", "\ta   b"), ElementsAre("\t", "a", "  ", " b"));
  EXPECT_THAT(split("youtu", "\uAC00\u3105\uFF01a1"), ElementsAre("\uAC00", "\u3105", "\uFF01", "a", "1"));
}

TEST(PreTokenizer, UnknownNamesAreErrors) {
  auto pre = find_pretokenizer("gpt-5");
  ASSERT_FALSE(pre);
  EXPECT_EQ(pre.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(pre.error().message, testing::HasSubstr("\"gpt-5\""));
  EXPECT_THAT(pre.error().message, testing::HasSubstr("deepseek-r1-qwen"));
  EXPECT_TRUE(find_pretokenizer(""));
  EXPECT_FALSE(find_pretokenizer("gpt-2 phi-2"));
}

TEST(PreTokenizer, LongRunsTakeLinearTime) {
  // Quadratic time would take minutes.
  for (const std::string_view name : pretokenizer_names()) {
    for (const std::string_view unit : {"1", "a", "A", " ", "\n", "!", "\u0660", "\x01", "\u6211", "\u0301"}) {
      std::string text;
      while (text.size() < (kSanitized ? 20000 : 200000)) text += unit;
      size_t bytes = 0;
      (*find_pretokenizer(name))->split(text, [&](std::string_view word) { bytes += word.size(); });
      EXPECT_EQ(bytes, text.size()) << name;
    }
  }
}

// Whatever the text, every pre-tokenizer's words are the text.
TEST(PreTokenizer, LosesNothing) {
  SplitMix64 rng(11);
  static constexpr std::string_view kParts[] = {
      " ", "\n",   "\r",       "\t",     "a",      "B",      "'s",     "'",      "1",      "22", "333", "!",
      "$", "\xFF", "\xE2\x82", "\u00E9", "\u0301", "\u6211", "\u3000", "\u01C5", "\u02B0", "_",  "<",   "\u0660"};
  for (const std::string_view name : pretokenizer_names()) {
    for (int round = 0; round < 200; ++round) {
      std::string text;
      for (uint64_t n = rng.next() % 20; n > 0; --n) text += kParts[rng.next() % std::size(kParts)];
      std::string joined;
      for (const std::string& word : split(name, text)) {
        EXPECT_FALSE(word.empty()) << name;
        joined += word;
      }
      EXPECT_EQ(joined, text) << name;
    }
  }
}

}  // namespace
}  // namespace quern
