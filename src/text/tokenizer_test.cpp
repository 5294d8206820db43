#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Ids = std::vector<int32_t>;
constexpr Tokenizer::EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr Tokenizer::EncodeOptions kParse{.add_special = false, .parse_special = true};

// A vocabulary that owns its strings; data() lends them.
struct TinyVocab {
  std::vector<std::string> tokens, merges;
  VocabData fields;

  int32_t add(std::string text, TokenType type = TokenType::kNormal, float score = 0) {
    tokens.push_back(std::move(text));
    fields.types.push_back(static_cast<int32_t>(type));
    fields.scores.push_back(score);
    return static_cast<int32_t>(tokens.size() - 1);
  }
  VocabData data() const {
    VocabData d = fields;
    d.tokens.assign(tokens.begin(), tokens.end());
    d.merges.assign(merges.begin(), merges.end());
    return d;
  }
  std::unique_ptr<Tokenizer> make() const {
    auto made = Tokenizer::create(data());
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? std::move(*made) : nullptr;
  }
  std::string error() const {
    auto made = Tokenizer::create(data());
    return made ? "" : made.error().message;
  }
};

// Ids 0 to 255 are the bytes in order; then "he", "ll", "hell", "hello", " w", <|im_end|>, <tool>.
TinyVocab tiny_bpe() {
  TinyVocab v;
  v.fields.model = "gpt2";
  v.fields.pre = "gpt-2";
  int next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    std::string text;
    utf8_append(text, static_cast<uint32_t>(printable ? b : next++));
    v.add(text);
  }
  for (const char* t : {"he", "ll", "hell", "hello", "\u0120w"}) v.add(t);
  v.merges = {"h e", "l l", "he ll", "hell o", "\u0120 w"};
  v.add("<|im_end|>", TokenType::kControl);
  v.add("<tool>", TokenType::kUserDefined);
  return v;
}

// 0 <unk>, 1 <s>, 2 </s>, 3 to 258 bytes, then words.
TinyVocab tiny_spm() {
  TinyVocab v;
  v.fields.model = "llama";
  v.add("<unk>", TokenType::kUnknown);
  v.add("<s>", TokenType::kControl);
  v.add("</s>", TokenType::kControl);
  for (int b = 0; b < 256; ++b) {
    char text[8];
    snprintf(text, sizeof text, "<0x%02X>", b);
    v.add(text, TokenType::kByte);
  }
  float score = 0;
  for (const char* t : {"\u2581", "a", "b", "c", "\u2581a", "bc", "abc", "\u2581abc", "ab"}) {
    v.add(t, TokenType::kNormal, score -= 1);
  }
  return v;
}

TEST(BpeTokenizer, MergesByRankWithinWords) {
  const auto t = tiny_bpe().make();
  EXPECT_THAT(t->encode("hello", kPlain), ElementsAre(259));
  EXPECT_THAT(t->encode("hello world", kPlain), ElementsAre(259, 260, 'o', 'r', 'l', 'd'));
  EXPECT_THAT(t->encode("helhell", kPlain), ElementsAre(256, 'l', 258));
  EXPECT_THAT(t->encode("", kPlain), IsEmpty());
}

TEST(BpeTokenizer, SpecialsOnlyWhenParsed) {
  const auto t = tiny_bpe().make();
  EXPECT_THAT(t->encode("he<|im_end|>he", kParse), ElementsAre(256, 261, 256));
  const Ids plain = t->encode("<|im_end|>", kPlain);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 261), 0);
  EXPECT_EQ(t->decode(plain, {}), "<|im_end|>");
  EXPECT_THAT(t->encode("he<tool>", kPlain), ElementsAre(256, 262)) << "user-defined tokens are always found";
  EXPECT_EQ(t->decode(Ids{256, 261}, {}), "he");
  EXPECT_EQ(t->decode(Ids{256, 261}, {.render_special = true, .text_start = true}), "he<|im_end|>");
}

TEST(BpeTokenizer, SpecialsAreLeftmostThenLongest) {
  TinyVocab v = tiny_bpe();
  const int32_t a = v.add("<x", TokenType::kControl), b = v.add("<x>y", TokenType::kControl);
  const int32_t c = v.add("x>yz", TokenType::kControl);
  const auto t = v.make();
  EXPECT_THAT(t->encode("<x>yz", kParse), ElementsAre(b, 'z'));
  EXPECT_THAT(t->encode("<x>z", kParse), ElementsAre(a, '>', 'z'));
  EXPECT_THAT(t->encode("x>yz", kParse), ElementsAre(c));
}

TEST(BpeTokenizer, StripsWhereTheTokenSaysSo) {
  TinyVocab v = tiny_bpe();
  v.fields.rstrip = {261};
  v.fields.lstrip = {262};
  const auto t = v.make();
  EXPECT_THAT(t->encode("<|im_end|> \n he \n<tool> he", kParse), ElementsAre(261, 256, 262, ' ', 256));
}

TEST(BpeTokenizer, GivesAnyBytesBack) {
  const auto t = tiny_bpe().make();
  SplitMix64 rng(3);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (uint64_t n = rng.next() % 64; n > 0; --n) text.push_back(static_cast<char>(rng.next()));
    EXPECT_EQ(t->decode(t->encode(text, kPlain), {}), text);
  }
}

TEST(BpeTokenizer, KnowsEndOfTurnByName) {
  const auto t = tiny_bpe().make();
  EXPECT_TRUE(t->is_eog(261));
  EXPECT_TRUE(t->is_control(261));
  EXPECT_FALSE(t->is_eog('a'));
  EXPECT_FALSE(t->is_eog(-1));
  EXPECT_EQ(t->find("<tool>"), 262);
  EXPECT_EQ(t->find("nothing"), std::nullopt);
}

TEST(BpeTokenizer, LongWordsMergeLikeShortOnes) {
  // Above the queue's threshold for buckets the result is that of many short pieces.
  const auto t = tiny_bpe().make();
  std::string text;
  Ids wanted;
  for (int i = 0; i < 20000; ++i) {
    text += "helhello";
    wanted.insert(wanted.end(), {256, 'l', 259});
  }
  EXPECT_EQ(t->encode(text, kPlain), wanted);
}

TEST(BpeTokenizer, AddsWhatTheModelWants) {
  TinyVocab v = tiny_bpe();
  v.fields.bos = 'B', v.fields.eos = 'E';
  EXPECT_THAT(v.make()->encode("he", {}), ElementsAre(256));
  v.fields.pre = "llama-bpe";
  EXPECT_THAT(v.make()->encode("he", {}), ElementsAre('B', 256));
  v.fields.add_bos = false, v.fields.add_eos = true;
  EXPECT_THAT(v.make()->encode("he", {}), ElementsAre(256, 'E'));
}

TEST(BpeTokenizer, RefusesWhatContradictsItself) {
  TinyVocab v = tiny_bpe();
  v.fields.pre = "no-such";
  EXPECT_THAT(v.error(), AllOf(HasSubstr("no-such"), HasSubstr("llama-bpe"), HasSubstr("tokenizer.ggml.pre")));
  v = tiny_bpe(), v.merges.push_back("nospace");
  EXPECT_THAT(v.error(), HasSubstr("tokenizer.ggml.merges[5]"));
  v = tiny_bpe(), v.fields.eos = 263;
  EXPECT_THAT(v.error(), HasSubstr("tokenizer.ggml.eos_token_id is 263"));
  v = tiny_bpe(), v.fields.bos = -5;
  EXPECT_THAT(v.error(), HasSubstr("bos_token_id"));
  v = tiny_bpe(), v.fields.types.pop_back();
  EXPECT_THAT(v.error(), HasSubstr("token_type has 262 entries"));
  v = tiny_bpe(), v.fields.add_bos = true;
  EXPECT_THAT(v.error(), HasSubstr("add_bos_token"));
  v = tiny_bpe(), v.fields.model = "t5";
  EXPECT_THAT(v.error(), HasSubstr("\"t5\""));
  v = tiny_spm(), v.fields.scores[3] = NAN;
  EXPECT_THAT(v.error(), HasSubstr("scores[3]"));
  v = tiny_spm(), v.fields.scores.clear();
  EXPECT_THAT(v.error(), HasSubstr("scores has 0 entries"));
  v = tiny_bpe(), v.add(std::string(1025, 'x'), TokenType::kControl);
  EXPECT_THAT(v.error(), HasSubstr("1025 bytes"));
  v = TinyVocab(), v.fields.model = "gpt2";
  EXPECT_THAT(v.error(), HasSubstr("empty"));
}

TEST(SpmTokenizer, MergesByScoreAndFallsBackToBytes) {
  const auto t = tiny_spm().make();
  // ▁a (-5) comes before ab (-9); bc (-6) then makes ▁abc (-8) possible.
  EXPECT_THAT(t->encode("ab", kPlain), ElementsAre(263, 261));
  EXPECT_THAT(t->encode("abcab", kPlain), ElementsAre(266, 267));
  EXPECT_THAT(t->encode("abc", {}), ElementsAre(1, 266));
  EXPECT_THAT(t->encode("\xC3\xA9", kPlain), ElementsAre(259, 3 + 0xC3, 3 + 0xA9));
  EXPECT_THAT(t->encode("\xFF", kPlain), ElementsAre(259, 3 + 0xFF));
}

TEST(SpmTokenizer, NeverSpellsControlTokensFromText) {
  const auto t = tiny_spm().make();
  const Ids ids = t->encode("<s><0x41>", kPlain);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 0);
  EXPECT_EQ(t->decode(ids, {}), "<s><0x41>");
}

TEST(SpmTokenizer, GivesAnyBytesBack) {
  for (const bool prefix : {true, false}) {
    TinyVocab v = tiny_spm();
    v.fields.add_space_prefix = prefix;
    const int32_t user = v.add("<u>", TokenType::kUserDefined);
    const auto t = v.make();
    EXPECT_EQ(t->encode("a<u> a", kPlain).size(), prefix ? 4u : 3u);
    EXPECT_EQ(t->piece(user, false), "<u>");
    SplitMix64 rng(5);
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (uint64_t n = rng.next() % 24; n > 0; --n) {
        static constexpr std::string_view kParts[] = {" ", "a", "b", "c", "<u>", "\u2581", "\xFF", "\u00E9", "\n"};
        text += kParts[rng.next() % std::size(kParts)];
      }
      EXPECT_EQ(t->decode(t->encode(text, kPlain), {}), text);
    }
  }
}

TEST(WordPieceTokenizer, NormalizesAndTakesTheLongest) {
  for (const bool hash_marks : {false, true}) {
    TinyVocab v;
    v.fields.model = "bert";
    const std::string word = hash_marks ? "" : "\u2581", rest = hash_marks ? "##" : "";
    const int32_t unk = v.add("[UNK]", TokenType::kControl), cls = v.add("[CLS]", TokenType::kControl);
    const int32_t sep = v.add("[SEP]", TokenType::kControl);
    const int32_t cafe = v.add(word + "cafe"), s = v.add(rest + "s"), bang = v.add(word + "!");
    const int32_t han = v.add(word + "\u6211"), ca = v.add(word + "ca");
    v.fields.unk = unk, v.fields.cls = cls, v.fields.sep = sep;
    const auto t = v.make();
    ASSERT_NE(t, nullptr);
    EXPECT_THAT(t->encode("Caf\u00E9s!\u6211 ca", {}), ElementsAre(cls, cafe, s, bang, han, ca, sep));
    EXPECT_THAT(t->encode("cafex ca", kPlain), ElementsAre(unk, ca))
        << "no longest match to the end: the word is unknown";
    EXPECT_THAT(t->encode(std::string(200, 'c'), kPlain), ElementsAre(unk));
    EXPECT_EQ(t->decode(Ids{cls, cafe, s, bang, sep}, {}), "cafes !");
  }
}

TEST(Detokenizer, HoldsBackUnfinishedCharacters) {
  const auto t = tiny_bpe().make();
  Detokenizer d(*t);
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push(0x9F), "");
  EXPECT_EQ(d.push(0x9A), "");
  EXPECT_TRUE(d.pending());
  EXPECT_EQ(d.push(0x80), "\U0001F680");
  EXPECT_FALSE(d.pending());
  EXPECT_EQ(d.push(0xC3), "");
  EXPECT_EQ(d.push('a'), "\uFFFDa") << "a lead byte without its rest";
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push(0x82), "");
  EXPECT_EQ(d.flush(), "\uFFFD");
  EXPECT_EQ(d.flush(), "");
  EXPECT_EQ(d.push(0x80), "\uFFFD");
  EXPECT_EQ(d.push(261), "") << "control tokens are not text";
  EXPECT_EQ(d.push(-1), "");
  EXPECT_EQ(d.push(99999), "");
}

TEST(Detokenizer, KeepsSpacesOfAContinuation) {
  const auto t = tiny_spm().make();
  EXPECT_EQ(Detokenizer(*t).push(263), " a");
  EXPECT_EQ(Detokenizer(*t, {.render_special = false, .text_start = true}).push(263), "a");
}

}  // namespace
}  // namespace quern
