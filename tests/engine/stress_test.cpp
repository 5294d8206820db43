// Thousands of random requests on the null backend, whose text is known beforehand: every sample ends with exactly its
// tokens and its reason, and no page is lost.
#include <gtest/gtest.h>

#include "backend/null/null_backend.h"
#include "base/rng.h"
#include "tests/engine/engine_fixture.h"
#include "tests/support/tiny_tokenizer.h"

namespace quern {
namespace {

constexpr size_t kContext = 256, kVocab = 261;

// What a request will ask its callback, by sample: the count of tokens after which it is cancelled.
struct Plan {
  bool refused = false;
  std::vector<size_t> cancel_after;
};

struct Expected {
  std::vector<int32_t> ids;
  StopReason reason;
};

Expected expect_sample(std::vector<int32_t> ids, const GenerateOptions& o, size_t cancel_after) {
  Expected e{{}, StopReason::kMaxTokens};
  while (e.ids.size() < o.max_tokens) {
    const int32_t id = null_next_token(ids, kVocab);
    if (!o.ignore_eos && (id == static_cast<int32_t>(kTinyEos) || id == static_cast<int32_t>(kTinyTurnEnd))) {
      e.reason = StopReason::kEndOfText;
      break;
    }
    ids.push_back(id);
    e.ids.push_back(id);
    if (e.ids.size() == o.max_tokens) break;
    if (ids.size() > kContext) {
      e.reason = StopReason::kContextFull;
      break;
    }
    if (e.ids.size() == cancel_after) {
      e.reason = StopReason::kCancelled;
      break;
    }
  }
  return e;
}

class Stress : public testing::Test {
 protected:
  size_t below(size_t n) { return rng_.next() % n; }

  // A prompt that often continues or repeats what was there before, so that prefixes are shared.
  std::vector<int32_t> make_prompt() {
    std::vector<int32_t> ids = random_ids(1 + below(below(3) == 0 ? 250 : 40), 256, rng_.next());
    if (!last_.empty() && below(2) == 0) {
      std::vector<int32_t> head(last_.begin(), last_.begin() + static_cast<std::ptrdiff_t>(below(last_.size() + 1)));
      head.insert(head.end(), ids.begin(), ids.end());
      if (head.size() <= kContext) ids = head;
    }
    return ids;
  }

  Engine::Request make_request(size_t n_parallel, Plan& plan) {
    Engine::Request r{make_prompt(), {.max_tokens = below(40), .n = static_cast<unsigned>(1 + below(n_parallel))}, {}};
    r.options.ignore_eos = below(2) == 0;
    r.options.sampling.temperature = 0;
    plan.cancel_after.assign(r.options.n, 0);
    for (size_t& c : plan.cancel_after) {
      if (below(5) == 0) c = 1 + below(30);
    }
    plan.refused = below(10) == 0;
    if (plan.refused) {
      switch (below(4)) {
        case 0:
          r.prompt.clear();
          break;
        case 1:
          r.prompt[below(r.prompt.size())] = kVocab + 3;
          break;
        case 2:
          r.prompt.resize(kContext + 1);
          break;
        default:
          r.options.n = static_cast<unsigned>(n_parallel + 1);
          break;
      }
    }
    return r;
  }

  void check(const Engine::Request& r, const Plan& plan, const Result<Generation>& got) {
    ASSERT_EQ(got.has_value(), !plan.refused) << (got ? "" : got.error().message);
    if (plan.refused) return;
    ASSERT_EQ(got->completions.size(), r.options.n);
    for (unsigned s = 0; s < r.options.n; ++s) {
      const Expected want = expect_sample(r.prompt, r.options, plan.cancel_after[s]);
      ASSERT_EQ(got->completions[s].ids, want.ids) << "sample " << s;
      ASSERT_EQ(got->completions[s].reason, want.reason) << "sample " << s;
    }
  }

  SplitMix64 rng_{20240607};
  std::vector<int32_t> last_;
};

TEST_F(Stress, RandomRequestsEndAsPredicted) {
  size_t requests_done = 0;
  for (size_t n_parallel : {1u, 2u, 5u, 8u}) {
    for (size_t n_batch : {1u, 5u, 33u, 512u}) {
      const auto engine =
          tiny_engine("llama", TensorType::kF32, {.n_ctx = kContext, .n_batch = n_batch, .n_parallel = n_parallel},
                      [](unsigned) { return make_null_backend(); });
      const PagePool& pool = EngineInternals::runner(*engine).kv().pool();
      for (int round = 0; round < 16; ++round) {
        const size_t n = 1 + below(16);
        std::vector<Plan> plans(n);
        std::vector<Engine::Request> requests;
        for (Plan& plan : plans) requests.push_back(make_request(n_parallel, plan));
        std::vector<std::vector<size_t>> counts(n);
        for (size_t i = 0; i < n; ++i) {
          counts[i].assign(plans[i].cancel_after.size(), 0);
          requests[i].on_token = [&, i](const TokenEvent& e) {
            return ++counts[i][e.sample] != plans[i].cancel_after[e.sample];
          };
        }
        const auto results = engine->generate_all(requests);
        ASSERT_EQ(results.size(), n);
        for (size_t i = 0; i < n; ++i) {
          ASSERT_NO_FATAL_FAILURE(check(requests[i], plans[i], results[i]))
              << "n_parallel " << n_parallel << " n_batch " << n_batch << " round " << round << " request " << i;
        }
        ASSERT_EQ(pool.free_pages() + EngineInternals::retained_pages(*engine), pool.n_pages());
        if (!plans.back().refused) last_ = requests.back().prompt;
        requests_done += n;
      }
    }
  }
  EXPECT_GT(requests_done, 1500u);
}

}  // namespace
}  // namespace quern
