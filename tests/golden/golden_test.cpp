// The real models beside ../shared/data/golden/lm.json: log-probabilities, greedy continuations, perplexity.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "os/env.h"
#include "quern/quern.h"

namespace quern {
namespace {

using nlohmann::json;

struct Bars {
  const char* file;         // in the cache folder
  const char* golden;       // key in lm.json
  double mean, worst;       // nats
  double perplexity_share;  // above the reference's
};

// The bars; llama.cpp's own figures are 0.091, 0.383 and 0.130, 0.762.
constexpr Bars kModels[] = {
    {"SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1", 0.10, 0.40, 0.007},
    {"gemma-3-270m-q4_k_m.gguf", "gemma-3-270m-q4_k_m", 0.13, 0.76, 0.007},
};

std::string shared_data() {
  return std::string(QUERN_SOURCE_DIR) + "/../shared/data";
}

std::string cache_folder() {
  if (auto v = env_get("QUERN_CACHE")) return *v + "/models/";
  if (auto v = env_get("XDG_CACHE_HOME")) return *v + "/quern/models/";
  return env_get("HOME").value_or("") + "/.cache/quern/models/";
}

std::optional<json> read_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  return json::parse(in, nullptr, false);
}

class Golden : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    const Bars& bars = kModels[GetParam()];
    auto file = read_json(shared_data() + "/golden/lm.json");
    if (!file) GTEST_SKIP() << "no shared/data/golden/lm.json beside the project";
    ASSERT_TRUE(file->contains(bars.golden)) << file->dump().substr(0, 200);
    golden_ = (*file)[bars.golden];
    const std::string path = cache_folder() + bars.file;
    if (!std::ifstream(path)) GTEST_SKIP() << path << " is not here: quern pull fetches it";
    auto engine = Engine::load({.model_path = path, .pack_cache = false});
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = std::move(*engine);
  }

  json golden_;
  std::unique_ptr<Engine> engine_;
};

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::Range<size_t>(0, std::size(kModels)));

std::vector<double> log_softmax(const std::vector<float>& logits) {
  double max = -INFINITY, sum = 0;
  for (float v : logits) max = std::max(max, static_cast<double>(v));
  for (float v : logits) sum += std::exp(v - max);
  std::vector<double> out(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) out[i] = logits[i] - max - std::log(sum);
  return out;
}

TEST_P(Golden, LogProbabilities) {
  const Bars& bars = kModels[GetParam()];
  double total = 0, worst = 0;
  size_t n = 0;
  for (const json& p : golden_["prompts"]) {
    auto logits = engine_->logits(p["ids"].get<std::vector<int32_t>>());
    ASSERT_TRUE(logits.has_value()) << logits.error().message;
    const std::vector<double> lp = log_softmax(*logits);
    for (const json& t : p["top"]) {
      const double error = std::abs(lp[t[0].get<size_t>()] - t[1].get<double>());
      ASSERT_FALSE(std::isnan(error));
      total += error;
      worst = std::max(worst, error);
      ++n;
    }
  }
  ASSERT_GT(n, 0u);
  std::printf("[ FIGURES  ] %s: mean %.4f nats, worst %.4f, of %zu\n", bars.golden, total / static_cast<double>(n),
              worst, n);
  EXPECT_LE(total / static_cast<double>(n), bars.mean);
  EXPECT_LE(worst, bars.worst);
}

TEST_P(Golden, GreedyContinuations) {
  size_t compared = 0;
  for (const json& p : golden_["prompts"]) {
    GenerateOptions options{.max_tokens = p["greedy"].size(), .ignore_eos = true};
    options.sampling.temperature = 0;
    auto result = engine_->generate(p["ids"].get<std::vector<int32_t>>(), options);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    const std::vector<int32_t>& ids = result->completions[0].ids;
    for (size_t i = 0; i < p["greedy"].size(); ++i) {
      if (p["margins"][i].get<double>() <= 0.5) break;  // two sound engines may part from here on
      ASSERT_LT(i, ids.size());
      EXPECT_EQ(ids[i], p["greedy"][i].get<int32_t>()) << p["prompt"] << " step " << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 10u);
}

TEST_P(Golden, Perplexity) {
  const Bars& bars = kModels[GetParam()];
  std::ifstream in(shared_data() + "/text/wikitext2-test.txt");
  ASSERT_TRUE(in);
  std::stringstream text;
  text << in.rdbuf();
  const size_t chunk = 512, chunks = 4;
  // As llama-perplexity: the text begins with BOS where the model asks for it, and so does every chunk, its first token
  // replaced.
  const std::vector<int32_t> all = engine_->tokenize(text.str(), true, false);
  const std::vector<int32_t> start = engine_->tokenize("", true, false);
  double nll = 0;
  size_t scored = 0;
  for (size_t c = 0; c < chunks; ++c) {
    std::vector<int32_t> ids(all.begin() + static_cast<std::ptrdiff_t>(c * chunk),
                             all.begin() + static_cast<std::ptrdiff_t>((c + 1) * chunk));
    if (!start.empty()) ids[0] = start[0];
    const auto ok = engine_->evaluate(ids, chunk / 2, [&](size_t i, std::span<const float> row) {
      if (i + 1 < ids.size()) {
        nll -= log_softmax({row.begin(), row.end()})[static_cast<size_t>(ids[i + 1])];
        ++scored;
      }
      return true;
    });
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }
  const double perplexity = std::exp(nll / static_cast<double>(scored));
  const double reference = golden_["perplexity"]["value"].get<double>();
  std::printf("[ FIGURES  ] %s: perplexity %.4f over %zu tokens, reference %.4f (%+.3f %%)\n", bars.golden, perplexity,
              scored, reference, 100 * (perplexity / reference - 1));
  EXPECT_LE(perplexity, reference * (1 + bars.perplexity_share));
}

}  // namespace
}  // namespace quern
