#include <memory>
#include <string>

#include "base/rng.h"
#include "sample/sampler.h"
#include "tests/instructions/work.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace quern {
namespace {

constexpr size_t kVocab = 262144;
constexpr size_t kTextBytes = size_t{64} << 10;

struct Sampling {
  Sampler sampler;
  std::vector<float> logits;
};

std::function<void()> prepare_sampling(const SamplingOptions& options) {
  SplitMix64 rng(1);
  auto s = std::make_shared<Sampling>(
      Sampling{Sampler::make(options, {.n_vocab = kVocab, .n_ctx = 64, .sample_index = 0, .dry_breakers = {}}).value(),
               std::vector<float>(kVocab)});
  // Sums of four uniforms: near to normal, as a model's logits are; a few stand out.
  for (float& x : s->logits) x = 3 * (rng.next_float() + rng.next_float() + rng.next_float() + rng.next_float());
  for (size_t i = 0; i < 20; ++i) s->logits[i * 13007] = 18 + static_cast<float>(i) / 8;
  return [s] { (void)s->sampler.sample(s->logits, 0).value(); };
}

// Words of two to nine of twelve letters, from a fixed seed.
std::string made_up_text() {
  SplitMix64 rng(2);
  std::string text;
  while (text.size() < kTextBytes) {
    for (uint64_t n = 2 + rng.next() % 8; n > 0; --n) text += "etaoinshrdlu"[rng.next() % 12];
    text += rng.next() % 12 == 0 ? ", " : " ";
  }
  text.resize(kTextBytes);
  return text;
}

// Bytes, and every pair and every triple of four frequent letters: SentencePiece BPE.
std::unique_ptr<Tokenizer> made_up_tokenizer() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  VocabData data;
  data.model = "llama";
  data.types = {2, 3, 3};
  const char* const kHex = "0123456789ABCDEF";
  for (int b = 0; b < 256; ++b) tokens.push_back({'<', '0', 'x', kHex[b / 16], kHex[b % 16], '>'});
  data.types.resize(tokens.size(), 6);
  for (char a : std::string("etaoinshrdlu")) {
    tokens.push_back({a});
    for (char b : std::string("etaoinshrdlu")) {
      tokens.push_back({a, b});
      for (char c : std::string("etao")) tokens.push_back({a, b, c});
    }
  }
  tokens.emplace_back("\u2581");
  data.types.resize(tokens.size(), 1);
  for (size_t i = 0; i < tokens.size(); ++i) data.scores.push_back(-static_cast<float>(i));
  data.tokens.assign(tokens.begin(), tokens.end());
  return Tokenizer::create(data).value();
}

std::function<void()> prepare_encoding() {
  std::shared_ptr<Tokenizer> tokenizer = made_up_tokenizer();
  return [tokenizer, text = made_up_text()] {
    (void)tokenizer->encode(text, {.add_special = false, .parse_special = true});
  };
}

std::function<void()> prepare_detokenizing() {
  std::shared_ptr<Tokenizer> tokenizer = made_up_tokenizer();
  const auto ids = tokenizer->encode(made_up_text(), {.add_special = false, .parse_special = true});
  return [tokenizer, ids] {
    Detokenizer detokenizer(*tokenizer);
    for (int32_t id : ids) (void)detokenizer.push(id);
  };
}

}  // namespace

std::vector<Work> library_work() {
  const auto sampling = [](const char* name, const SamplingOptions& options) {
    return Work{name, static_cast<double>(kVocab), [options] { return prepare_sampling(options); }};
  };
  SamplingOptions greedy, top_p;
  greedy.temperature = 0;
  top_p.top_k = 0;
  top_p.min_p = 0;
  return {sampling("sample greedy", greedy), sampling("sample defaults", {}), sampling("sample top_p", top_p),
          Work{"tokenize", static_cast<double>(kTextBytes), prepare_encoding},
          Work{"detokenize", static_cast<double>(kTextBytes), prepare_detokenizing}};
}

}  // namespace quern
