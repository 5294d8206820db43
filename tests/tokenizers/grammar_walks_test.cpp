// Grammars on the tokenizers of shared/data/tokenizers: random texts under masks, each judged by Earley's algorithm
// (tests/support/ir_match.h), which knows neither tokens nor automata.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/grammar_runs.h"
#include "engine/vocab.h"
#include "gguf/reader.h"
#include "grammar/internals.h"
#include "os/mapped_file.h"
#include "tests/support/ir_match.h"
#include "tests/support/sanitized.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// Byte-level BPE, with all bytes and without some, and SentencePiece.
constexpr const char* kVocabularies[] = {"gpt-2",  "deepseek-llm", "deepseek-coder", "falcon", "qwen2",
                                         "refact", "starcoder",    "llama-spm",      "phi-3"};

// Falcon lacks the byte F2, with which U+80000 begins, refact and starcoder F1, with which U+40000 does.
constexpr const char* kSchemas[] = {
    R"({"const": "na\u00efve \u6f22\u5b57 \ud83d\ude00 \ud8c0\udc00 \ud9c0\udc00"})",
    R"({"enum": ["\u00e9t\u00e9", "\u65e5\u672c", "a\u0001\"b", {"\u043a\u043b\u044e\u0447": ["\ud8c0\udc00", null]}, "plain"]})",
    R"({"type": "string", "pattern": "^[\u0430-\u044f\u0451]{2,9}-\\d+$", "maxLength": 14})",
    R"({"type": "array", "minItems": 1, "maxItems": 3, "items": {"anyOf": [
        {"properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}}, "required": ["kind", "radius"]},
        {"properties": {"kind": {"const": "text"}, "text": {"type": "string", "maxLength": 40}}, "required": ["kind", "text"]},
        {"type": "integer", "minimum": -20, "maximum": 3000}]}})",
    R"({"properties": {"\u0438\u043c\u044f": {"type": "string"}, "day": {"type": "string", "format": "date"}},
        "required": ["day"], "additionalProperties": {"type": ["boolean", "null"]}, "maxProperties": 4})",
    R"({"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"v": {"type": "string", "minLength": 2},
        "next": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2}}, "required": ["v", "next"]}}})",
};

class Vocabulary {
 public:
  static Result<Vocabulary> load(const fs::path& path) {
    QUERN_TRY(const MappedFile file, MappedFile::open(path.string()));
    QUERN_TRY(const GgufView gguf, GgufView::parse(file.bytes(), path.filename().string()));
    QUERN_TRY(const VocabData data, read_vocab(gguf));
    QUERN_TRY(auto tokenizer, Tokenizer::create(data));
    return Vocabulary(std::move(tokenizer));
  }

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  GrammarRuns& runs() { return *runs_; }

 private:
  explicit Vocabulary(std::unique_ptr<Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)),
        runs_(std::make_unique<GrammarRuns>(*tokenizer_, static_cast<size_t>(tokenizer_->n_vocab()))) {}

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<GrammarRuns> runs_;
};

fs::path vocabulary_file(std::string_view name) {
  return fs::path(QUERN_SOURCE_DIR).parent_path() / "shared" / "data" / "tokenizers" / (std::string(name) + ".gguf");
}

int32_t pick(const std::vector<uint32_t>& mask, SplitMix64& rng) {
  std::vector<int32_t> allowed;
  for (size_t i = 0; i < mask.size(); ++i) {
    for (uint32_t w = mask[i]; w != 0; w &= w - 1) {
      allowed.push_back(static_cast<int32_t>(i * 32 + static_cast<size_t>(std::countr_zero(w))));
    }
  }
  return allowed[rng.next() % allowed.size()];
}

// A text as the engine makes one: what is forced, at times, and what a mask allows; after some tokens the shortest end,
// where the vocabulary can write that. An end-of-text token ends it.
Result<std::vector<int32_t>> walk(grammar::Matcher matcher, const std::vector<int32_t>& ends, SplitMix64& rng) {
  constexpr size_t kTokens = 30, kMost = 3000;
  std::vector<int32_t> ids;
  const auto take = [&](const std::vector<int32_t>& some) {
    for (const int32_t id : some) matcher.accept(id);
    ids.insert(ids.end(), some.begin(), some.end());
  };
  while (!matcher.complete() && ids.size() < kMost) {
    if (ids.size() >= kTokens) {
      if (const auto end = matcher.shortest_end(kMost)) {
        take(*end);
        break;
      }
    }
    if (rng.next() % 2 == 0) take(matcher.forced());
    if (matcher.complete()) break;
    QUERN_TRY(const std::vector<uint32_t>* mask, matcher.mask());
    const int32_t id = pick(*mask, rng);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
    take({id});
  }
  return ids;
}

class GrammarWalks : public testing::TestWithParam<const char*> {};

TEST_P(GrammarWalks, GiveTextsOfTheGrammar) {
  const fs::path path = vocabulary_file(GetParam());
  if (!fs::exists(path)) GTEST_SKIP() << "no shared data at " << path;
  auto vocabulary = Vocabulary::load(path);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const Tokenizer& tokenizer = vocabulary->tokenizer();
  const std::vector<int32_t> ends(tokenizer.eog_ids().begin(), tokenizer.eog_ids().end());
  SplitMix64 rng(11);
  const size_t n_walks = kSanitized ? 2 : 8;
  for (const char* schema : kSchemas) {
    const auto grammar = Grammar::json_schema(schema);
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto run = vocabulary->runs().get(*grammar);
    for (size_t i = 0; i < n_walks; ++i) {
      const auto ids = walk(grammar::Matcher(run, {}), ends, rng);
      ASSERT_TRUE(ids) << schema << ": " << ids.error().message;
      const std::string text = tokenizer.decode(*ids, {.render_special = false, .text_start = false});
      EXPECT_TRUE(grammar::ir_matches(*GrammarInternals::ir(*grammar), text)) << schema << "\n" << text;
    }
  }
}

std::string case_name(const testing::TestParamInfo<const char*>& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Shared, GrammarWalks, testing::ValuesIn(kVocabularies), case_name);

// WordPiece writes a space before each word and has no token for a bracket without one: no JSON, and it is said so.
TEST(GrammarOnWordPiece, IsRefused) {
  const fs::path path = vocabulary_file("bert-bge");
  if (!fs::exists(path)) GTEST_SKIP() << "no shared data at " << path;
  auto vocabulary = Vocabulary::load(path);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const auto grammar = Grammar::json_schema(R"({"properties": {"A": {"type": "string"}}, "required": ["A"]})");
  ASSERT_TRUE(grammar) << grammar.error().message;
  SplitMix64 rng(1);
  const auto ids = walk(grammar::Matcher(vocabulary->runs().get(*grammar), {}), {}, rng);
  ASSERT_FALSE(ids.has_value());
  EXPECT_EQ(ids.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ids.error().message, "the model has no token for what the grammar asks for next");
}

}  // namespace
}  // namespace quern
