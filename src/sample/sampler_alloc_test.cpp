// Choosing a token allocates nothing once the buffers have seen the vocabulary. This file replaces the program's
// operator new by one that counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/rng.h"
#include "sample/sampler.h"

namespace {
std::atomic<size_t> allocations{0};
}  // namespace

void* operator new(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes > 0 ? bytes : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

namespace quern {
namespace {

TEST(Allocations, NoneInTheSteadyState) {
  constexpr size_t kVocab = 5000;
  SamplingOptions defaults;
  defaults.repeat_penalty = 1.1f;
  defaults.dry_multiplier = 0.5f;
  defaults.logprobs = 5;
  SamplingOptions greedy = defaults;
  greedy.temperature = 0;
  SamplingOptions wide = defaults;
  wide.top_k = 0;
  wide.typical_p = 0.9f;
  SamplingOptions nucleus = defaults;
  nucleus.top_k = 0;
  nucleus.min_p = 0;
  for (const SamplingOptions& o : {defaults, greedy, wide, nucleus}) {
    auto sampler = Sampler::make(o, {.n_vocab = kVocab, .n_ctx = 256, .sample_index = 0, .dry_breakers = {}});
    ASSERT_TRUE(sampler.has_value());
    SplitMix64 rng(1);
    std::vector<float> logits(kVocab);
    const std::vector<uint32_t> mask((kVocab + 31) / 32, 0xfffffff7u);
    size_t counted = 0;
    for (uint64_t step = 0; step < 60; ++step) {
      for (float& x : logits) x = 5 * rng.next_float();
      sampler->accept(static_cast<int32_t>(step % 7));
      const size_t before = allocations;
      const bool good = sampler->sample(logits, step, {mask}).has_value();
      if (step > 0) counted += allocations - before;
      ASSERT_TRUE(good);
    }
    EXPECT_GT(allocations.load(), 0u);  // the counter is in use
    EXPECT_EQ(counted, 0u) << "temperature " << o.temperature << " top_k " << o.top_k;
  }
}

}  // namespace
}  // namespace quern
