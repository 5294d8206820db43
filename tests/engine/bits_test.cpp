// The promise of quern.h: logits do not depend on batch, chunks, threads, instruction set, or what was kept from
// before. Everything here is compared by memcmp.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "base/rng.h"
#include "tests/engine/engine_fixture.h"
#include "tests/support/sanitized.h"

namespace quern {
namespace {

struct Case {
  const char* model;
  TensorType type;
};
constexpr Case kCases[] = {
    {"llama", TensorType::kF32},         {"llama", TensorType::kF16},       {"llama", TensorType::kBF16},
    {"llama", TensorType::kQ8_0},        {"llama", TensorType::kQ4_0},      {"llama", TensorType::kQ4_1},
    {"llama", TensorType::kQ5_0},        {"llama", TensorType::kQ5_1},      {"llama", TensorType::kIQ4_NL},
    {"llama", TensorType::kMXFP4},       {"llama-wide", TensorType::kQ2_K}, {"llama-wide", TensorType::kQ3_K},
    {"llama-wide", TensorType::kQ4_K},   {"llama-wide", TensorType::kQ5_K}, {"llama-wide", TensorType::kQ6_K},
    {"llama-wide", TensorType::kIQ4_XS}, {"gemma3", TensorType::kF32},      {"gemma3", TensorType::kQ4_0},
    {"phi3", TensorType::kQ8_0},         {"phi3-window", TensorType::kF32}, {"qwen2", TensorType::kQ4_1},
    {"qwen3", TensorType::kQ8_0},
};

// Crosses pages (64), attention segments (256) and, in every part, whole panels of 16 tokens.
constexpr size_t kLong = 700;

class Bits : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Engine> engine(EngineOptions options = {}) const {
    // Encoding takes longer than the test: each model is made once. All have the same room, whatever theirs was.
    static std::map<std::pair<std::string, TensorType>, std::vector<std::byte>> made;
    const std::string name = GetParam().model, key = name.substr(0, name.find('-')) + ".context_length";
    std::vector<std::byte>& bytes = made[{name, GetParam().type}];
    if (bytes.empty()) {
      bytes = patched(model_bytes(name, GetParam().type), {{key}, [&](GgufWriter& w) { w.add(key, uint32_t{1024}); }});
    }
    if (options.n_threads == 0) options.n_threads = 1;
    auto made_engine = load_bytes(bytes, options);
    EXPECT_TRUE(made_engine.has_value()) << made_engine.error().message;
    return std::move(made_engine).value();
  }
};

INSTANTIATE_TEST_SUITE_P(Models, Bits, testing::ValuesIn(kCases), [](const auto& p) {
  std::string name = std::string(p.param.model) + "_" + std::string(format_info(p.param.type).name);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

testing::AssertionResult same_row(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << " and " << b.size() << " logits";
  if (std::memcmp(a.data(), b.data(), a.size_bytes()) == 0) return testing::AssertionSuccess();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return testing::AssertionFailure() << "logit " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionFailure();
}

std::span<const float> row(const std::vector<float>& rows, size_t i, size_t n_vocab) {
  return std::span<const float>(rows).subspan(i * n_vocab, n_vocab);
}

// Feeds `ids` in forwards of `chunk` tokens and holds the logits after each chunk to `want`.
void expect_same_in_chunks(Engine& engine, std::span<const int32_t> ids, size_t chunk, const std::vector<float>& want) {
  Runner& runner = EngineInternals::runner(engine);
  const size_t n_vocab = engine.info().n_vocab;
  PageTable pages(runner.kv().pool());
  for (size_t at = 0; at < ids.size(); at += chunk) {
    const size_t n = std::min(chunk, ids.size() - at);
    const RunnerInput input{.ids = ids.subspan(at, n), .first_position = at, .pages = &pages, .want_logits = true};
    const auto logits = runner.forward({&input, 1});
    ASSERT_TRUE(logits.has_value()) << logits.error().message;
    ASSERT_TRUE(same_row(logits->logits, row(want, at + n - 1, n_vocab)))
        << "chunks of " << chunk << ", position " << at + n - 1;
  }
}

TEST_P(Bits, ChunksAndThreads) {
  const auto one = engine();
  const size_t n_vocab = one->info().n_vocab;
  const std::vector<int32_t> ids = random_ids(kLong, n_vocab, 1);
  const std::vector<float> want = all_logits(*one, ids);
  ASSERT_EQ(want.size(), ids.size() * n_vocab);
  for (size_t chunk : {1u, 7u, 64u, 512u}) ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(*one, ids, chunk, want));
  for (unsigned threads : {2u, 3u}) {
    const auto many = engine({.n_threads = threads});
    ASSERT_EQ(many->info().n_threads, threads);
    SCOPED_TRACE(threads);
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(*many, ids, 512, want));
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(*many, std::span(ids).first(330), 7, want));
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(*many, std::span(ids).first(threads == 2 ? 330 : 20), 1, want));
  }
}

TEST_P(Bits, BatchOptions) {
  const std::vector<int32_t> ids = random_ids(200, 260, 2);
  std::vector<float> want;
  for (size_t n_batch : {1u, 7u, 64u, 512u}) {
    const auto e = engine({.n_batch = n_batch, .n_parallel = 1});
    const auto got = e->logits(ids);
    ASSERT_TRUE(got.has_value()) << got.error().message;
    if (want.empty()) want = *got;
    EXPECT_TRUE(same_row(*got, want)) << "n_batch " << n_batch;
  }
}

TEST_P(Bits, EveryInstructionSet) {
  const std::vector<int32_t> ids = random_ids(330, 260, 3);
  std::vector<float> want;
  for (const std::string& isa : supported_isas()) {
    const auto e = engine({.isa = isa});
    EXPECT_EQ(e->info().isa, isa);
    if (want.empty()) {
      want = all_logits(*e, ids);
    } else {
      ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(*e, ids, isa == "ref" ? 110 : 50, want)) << isa;
    }
  }
  EXPECT_GE(supported_isas().size(), 1u);
}

// Sixteen sequences of different lengths, whose chunks and single tokens mix at random in each forward.
TEST_P(Bits, RaggedBatches) {
  const auto alone = engine(), together = engine({.n_threads = 2});
  const size_t n_vocab = alone->info().n_vocab, n = 16;
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<float>> want;
  for (size_t i = 0; i < n; ++i) {
    ids.push_back(random_ids(3 + 21 * i, n_vocab, 100 + i));
    want.push_back(all_logits(*alone, ids.back()));
  }
  Runner& runner = EngineInternals::runner(*together);
  std::vector<PageTable> pages;
  for (size_t i = 0; i < n; ++i) pages.emplace_back(runner.kv().pool());
  std::vector<size_t> done(n, 0);
  SplitMix64 rng(4);
  for (size_t left = n; left > 0;) {
    std::vector<RunnerInput> inputs;
    std::vector<std::pair<size_t, size_t>> rows;  // sequence, position
    size_t budget = runner.max_tokens();
    for (size_t i = 0; i < n; ++i) {
      const size_t remaining = ids[i].size() - done[i];
      if (remaining == 0 || rng.next() % 4 == 0) continue;
      const size_t wanted = rng.next() % 3 == 0 ? 1 : 1 + rng.next() % 70;
      const size_t take = std::min({wanted, remaining, budget});
      if (take == 0) continue;
      budget -= take;
      inputs.push_back({.ids = std::span<const int32_t>(ids[i]).subspan(done[i], take),
                        .first_position = done[i],
                        .pages = &pages[i],
                        .want_logits = true});
      done[i] += take;
      left -= done[i] == ids[i].size();
      rows.emplace_back(i, done[i] - 1);
    }
    const auto logits = runner.forward(inputs);
    ASSERT_TRUE(logits.has_value()) << logits.error().message;
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto [i, position] = rows[r];
      ASSERT_TRUE(same_row(logits->logits.subspan(r * n_vocab, n_vocab), row(want[i], position, n_vocab)))
          << "sequence " << i << " position " << position;
    }
  }
}

// Equal ids, text, reasons and log-probabilities, the last to the bit.
void expect_same_generation(const Result<Generation>& a, const Result<Generation>& b) {
  ASSERT_TRUE(a.has_value()) << a.error().message;
  ASSERT_TRUE(b.has_value()) << b.error().message;
  ASSERT_EQ(a->completions.size(), b->completions.size());
  for (size_t i = 0; i < a->completions.size(); ++i) {
    const Completion &x = a->completions[i], &y = b->completions[i];
    ASSERT_EQ(x.ids, y.ids) << "sample " << i;
    ASSERT_EQ(x.text, y.text);
    ASSERT_EQ(x.reason, y.reason);
    ASSERT_EQ(x.logprobs.size(), y.logprobs.size());
    for (size_t t = 0; t < x.logprobs.size(); ++t) {
      ASSERT_EQ(std::memcmp(&x.logprobs[t].logprob, &y.logprobs[t].logprob, sizeof(double)), 0) << "token " << t;
      ASSERT_EQ(x.logprobs[t].top.size(), y.logprobs[t].top.size());
      for (size_t k = 0; k < x.logprobs[t].top.size(); ++k) {
        ASSERT_EQ(x.logprobs[t].top[k].id, y.logprobs[t].top[k].id);
        ASSERT_EQ(std::memcmp(&x.logprobs[t].top[k].logprob, &y.logprobs[t].top[k].logprob, sizeof(double)), 0);
      }
    }
  }
}

Engine::Request request(std::vector<int32_t> prompt, size_t max_tokens, unsigned n, uint64_t seed) {
  Engine::Request r{
      .prompt = std::move(prompt), .options = {.max_tokens = max_tokens, .n = n, .ignore_eos = true}, .on_token = {}};
  r.options.sampling.seed = seed;
  r.options.sampling.logprobs = 5;
  return r;
}

TEST_P(Bits, SixteenRequestsEqualEachAlone) {
  std::vector<Engine::Request> requests;
  for (size_t i = 0; i < 16; ++i) requests.push_back(request(random_ids(5 + 23 * i, 260, 50 + i), 12, 1, i));
  const auto together = engine({.n_batch = 100, .n_threads = 2})->generate_all(requests);
  ASSERT_EQ(together.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = engine()->generate(requests[i].prompt, requests[i].options);  // an engine that kept nothing
    ASSERT_NO_FATAL_FAILURE(expect_same_generation(together[i], alone)) << i;
  }
}

TEST_P(Bits, ReusedPrefixesEqualFreshEngines) {
  const auto kept = engine();
  std::vector<int32_t> prompt = random_ids(400, 260, 7);
  ASSERT_TRUE(kept->generate(prompt, request({}, 10, 1, 1).options).has_value());
  // Cut at the middle of a page, at its border, within the first page, and nothing in common.
  for (size_t shared : {399u, 300u, 256u, 20u, 0u}) {
    std::vector<int32_t> next(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(shared));
    const std::vector<int32_t> rest = random_ids(90, 260, shared + 8);
    next.insert(next.end(), rest.begin(), rest.end());
    if (shared < prompt.size() && next[shared] == prompt[shared]) next[shared] = (next[shared] + 1) % 260;
    const GenerateOptions options = request({}, 8, 3, shared).options;
    const auto a = kept->generate(next, options);
    const auto b = engine()->generate(next, options);
    ASSERT_NO_FATAL_FAILURE(expect_same_generation(a, b)) << shared;
    EXPECT_EQ(a->stats.cached_tokens, shared);
    EXPECT_EQ(b->stats.cached_tokens, 0u);
    prompt = next;
  }
}

// n samples share one prefill; each of their tokens has the log-probability that the whole text gives it.
TEST_P(Bits, SamplesOfOnePromptStandAlone) {
  const auto e = engine();
  const size_t n_vocab = e->info().n_vocab;
  const std::vector<int32_t> prompt = random_ids(100, n_vocab, 9);
  const auto four = e->generate(prompt, request({}, 40, 4, 3).options);
  ASSERT_NO_FATAL_FAILURE(expect_same_generation(
      four, engine({.n_batch = 16, .n_threads = 2})->generate(prompt, request({}, 40, 4, 3).options)));
  EXPECT_NE(four->completions[0].ids, four->completions[1].ids);
  const auto one = engine()->generate(prompt, request({}, 40, 1, 3).options);
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->completions[0].ids, four->completions[0].ids);
  for (const Completion& c : four->completions) {
    std::vector<int32_t> whole = prompt;
    whole.insert(whole.end(), c.ids.begin(), c.ids.end());
    const auto fresh = engine();
    const std::vector<float> rows = all_logits(*fresh, whole);
    for (size_t t = 0; t < c.ids.size(); ++t) {
      const auto logits = row(rows, prompt.size() + t - 1, n_vocab);
      double sum = 0, max = -INFINITY;
      for (float v : logits) max = std::max(max, static_cast<double>(v));
      for (float v : logits) sum += std::exp(v - max);
      ASSERT_NEAR(c.logprobs[t].logprob, logits[static_cast<size_t>(c.ids[t])] - max - std::log(sum), 1e-9) << t;
    }
  }
}

TEST(RealBits, SmolLM2) {
  const std::string path = cached_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  if (path.empty()) GTEST_SKIP() << "SmolLM2 is not in the cache folder: quern pull fetches it";
  const std::vector<int32_t> ids = random_ids(kSanitized ? 100 : 300, 49000, 5);
  std::vector<float> want;
  for (unsigned threads : {1u, 2u}) {
    auto engine = Engine::load({.model_path = path, .n_ctx = 512, .n_threads = threads, .pack_cache = false});
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    if (want.empty()) want = all_logits(**engine, ids);
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(**engine, ids, 512, want));
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(**engine, std::span(ids).first(ids.size() / 3), 7, want));
  }
  for (const std::string& isa : supported_isas()) {
    auto engine = Engine::load({.model_path = path, .n_ctx = 512, .n_threads = 2, .pack_cache = false, .isa = isa});
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    const size_t n = isa == "ref" ? (kSanitized ? 2 : 5) : 80;  // the reference takes about a second a token
    ASSERT_NO_FATAL_FAILURE(expect_same_in_chunks(**engine, std::span(ids).first(n), n, want)) << isa;
  }
}

}  // namespace
}  // namespace quern
