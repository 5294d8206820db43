// Every case of shared/data/tokenizers, round trips of the same texts, and the time of a megabyte.
//
// X.gguf.inp holds texts divided by lines __ggml_vocab_test__, X.gguf.out a line of ids for each: without BOS, specials
// not parsed. smollm2 and gemma3 go with the real models in the user's cache folder.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/vocab.h"
#include "gguf/reader.h"
#include "os/env.h"
#include "os/mapped_file.h"
#include "tests/support/sanitized.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

const fs::path kShared = fs::path(QUERN_SOURCE_DIR).parent_path() / "shared";
constexpr Tokenizer::EncodeOptions kPlain{.add_special = false, .parse_special = false};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path models_folder() {
  if (const auto cache = env_get("QUERN_CACHE")) return fs::path(*cache) / "models";
  if (const auto cache = env_get("XDG_CACHE_HOME")) return fs::path(*cache) / "quern" / "models";
  return fs::path(env_get("HOME").value_or(".")) / ".cache" / "quern" / "models";
}

Result<std::unique_ptr<Tokenizer>> load(const fs::path& path) {
  QUERN_TRY(const MappedFile file, MappedFile::open(path.string()));
  QUERN_TRY(const GgufView gguf, GgufView::parse(file.bytes(), path.filename().string()));
  QUERN_TRY(const VocabData data, read_vocab(gguf));
  return Tokenizer::create(data);
}

std::vector<std::string> split_cases(const std::string& text) {
  static constexpr std::string_view kDivider = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  size_t pos = 0;
  for (size_t end; (end = text.find(kDivider, pos)) != std::string::npos; pos = end + kDivider.size()) {
    cases.push_back(text.substr(pos, end - pos));
  }
  cases.push_back(text.substr(pos));
  return cases;
}

std::vector<std::vector<int32_t>> read_ids(const std::string& text) {
  std::vector<std::vector<int32_t>> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<int32_t>(words), std::istream_iterator<int32_t>());
  }
  return lines;
}

struct Case {
  std::string name;                        // of the .inp and .out files
  std::string model;                       // in the cache folder; empty: NAME itself is the vocabulary
  enum { kNever, kUsual, kAlways } exact;  // decoding gives the text back; usual: but for bytes without a token
};

const Case kCases[] = {
    {"gpt-2.gguf", "", Case::kAlways},
    {"deepseek-llm.gguf", "", Case::kAlways},
    {"deepseek-coder.gguf", "", Case::kAlways},
    {"falcon.gguf", "", Case::kUsual},
    {"qwen2.gguf", "", Case::kAlways},
    {"refact.gguf", "", Case::kUsual},
    {"starcoder.gguf", "", Case::kUsual},
    {"llama-spm.gguf", "", Case::kAlways},
    {"phi-3.gguf", "", Case::kAlways},
    {"bert-bge.gguf", "", Case::kNever},
    {"smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", Case::kUsual},
    {"gemma3", "gemma-3-270m-q4_k_m.gguf", Case::kAlways},
};

class TokenizerCases : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    data_ = kShared / "data" / "tokenizers" / GetParam().name;
    path_ = GetParam().model.empty() ? data_ : models_folder() / GetParam().model;
    if (!fs::exists(data_.string() + ".inp")) GTEST_SKIP() << "no shared data at " << data_;
    if (!fs::exists(path_)) GTEST_SKIP() << "no model at " << path_ << "; `make run` or `quern pull` fetches it";
    const double start = now();
    auto loaded = load(path_);
    ASSERT_TRUE(loaded) << loaded.error().message;
    load_s_ = now() - start;
    tokenizer_ = std::move(*loaded);
  }
  // The process's CPU time: what one core needs, also where others share it.
  static double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

  fs::path data_, path_;
  double load_s_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TokenizerCases, GiveTheIdsOfTheReference) {
  const auto texts = split_cases(slurp(data_.string() + ".inp"));
  const auto wanted = read_ids(slurp(data_.string() + ".out"));
  ASSERT_GT(texts.size(), 40u);
  ASSERT_GE(wanted.size(), texts.size() - 1);
  for (size_t i = 0; i < wanted.size() && i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer_->encode(texts[i], kPlain), wanted[i]) << "case " << i << ": " << texts[i];
  }
}

TEST_P(TokenizerCases, DecodeToTheText) {
  if (GetParam().exact == Case::kNever) GTEST_SKIP() << "WordPiece drops case, accents and white space";
  std::string text = slurp(data_.string() + ".inp");
  std::vector<std::string> texts = split_cases(text);
  texts.push_back("\xE2\x96\x81 mark \xE2\x96\x81");
  SplitMix64 rng(7);
  std::string code_points;
  for (int i = 0; i < 3000; ++i) {
    uint32_t cp = static_cast<uint32_t>(rng.next() % 0x110000);
    if (cp >= 0xD800 && cp < 0xE000) cp = ' ';
    utf8_append(code_points, cp);
  }
  if (GetParam().exact == Case::kAlways) texts.push_back(code_points);
  for (const std::string& t : texts) {
    const auto ids = tokenizer_->encode(t, kPlain);
    EXPECT_TRUE(tokenizer_->decode(ids, {.render_special = true, .text_start = true}) == t) << t.substr(0, 200);
    Detokenizer stream(*tokenizer_, {.render_special = true, .text_start = true});
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    EXPECT_TRUE(streamed + stream.flush() == t) << t.substr(0, 200);
  }
}

// The limit of 0.3 s is for one core of a machine of today that has nothing else to do; a busy one, a sanitizer or an
// emulator gets seconds here; only quadratic time, which takes minutes, fails. Under sanitizers a tenth of a megabyte.
TEST_P(TokenizerCases, TakeAMegabyteOfAnything) {
  SplitMix64 rng(1);
  const size_t size = kSanitized ? 100000 : 1000000;
  const auto repeat = [&](std::string_view unit) {
    std::string s;
    while (s.size() < size) s += unit;
    return s;
  };
  std::string letters, bytes, digits;
  for (size_t i = 0; i < size; ++i) {
    letters.push_back(static_cast<char>('a' + rng.next() % 26));
    digits.push_back(static_cast<char>('0' + rng.next() % 10));
    bytes.push_back(static_cast<char>(rng.next()));
  }
  std::string prose = slurp(kShared / "data" / "text" / "wikitext2-test.txt");
  if (prose.empty()) prose = repeat("It was the best of times, it was the worst of times.\n");
  if (kSanitized) prose.resize(size);
  const std::pair<const char*, std::string> texts[] = {
      {"prose", prose},
      {"one letter", repeat("a")},
      {"random letters", letters},
      {"line ends", repeat("\n")},
      {"emoji", repeat("\U0001F680")},
      {"spaces", repeat(" ")},
      {"digits", digits},
      {"random bytes", bytes},
      {"Han", repeat("\u6211\u60F3\u5728")},
      {"specials", repeat("<|im_end|><end_of_turn></s>")},
      {"AaAa", repeat("Aa")},
      {"quotes", repeat("''")},
      {"almost specials", repeat("<unused<unused9999<|")},
  };
  printf("  %-20s %-16s %7.1f ms\n", GetParam().name.c_str(), "load", load_s_ * 1e3);
  for (const auto& [name, text] : texts) {
    const double start = now();
    const auto ids = tokenizer_->encode(text, {.add_special = true, .parse_special = true});
    const double ms = (now() - start) * 1e3;
    EXPECT_FALSE(ids.empty()) << name;
    EXPECT_LT(ms, 20000.0) << name;
    printf("  %-20s %-16s %7.1f ms %8zu ids\n", GetParam().name.c_str(), name, ms, ids.size());
  }
}

std::string case_name(const testing::TestParamInfo<Case>& param) {
  std::string name = param.param.name.substr(0, param.param.name.find(".gguf"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Shared, TokenizerCases, testing::ValuesIn(kCases), case_name);

}  // namespace
}  // namespace quern
