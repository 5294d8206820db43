// Every allocation of a load fails once: the answer is an error, and nothing is left behind (ASan looks).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/engine_fixture.h"
#include "tests/engine/faulty_backend.h"

namespace quern {
namespace {

TEST(Faults, EveryAllocationOfALoad) {
  for (const char* model : {"llama-untied-bias", "gemma3", "phi3", "qwen3"}) {
    const auto bytes = model_bytes(model);
    size_t calls = 0, total = 0;
    for (size_t fail_at = SIZE_MAX; fail_at == SIZE_MAX || fail_at < total; ++fail_at) {
      calls = 0;
      const auto engine =
          load_bytes(bytes, {.n_threads = 1}, [&](unsigned threads) -> Result<std::unique_ptr<Backend>> {
            QUERN_TRY(auto cpu, make_cpu_backend({.threads = threads, .isa = {}}));
            return std::unique_ptr<Backend>(std::make_unique<FaultyBackend>(std::move(cpu), fail_at, calls));
          });
      if (fail_at == SIZE_MAX) {  // the first round counts
        ASSERT_TRUE(engine.has_value()) << engine.error().message;
        total = calls;
        ASSERT_GT(total, 20u);
        continue;
      }
      ASSERT_FALSE(engine.has_value()) << model << " fault " << fail_at;
      EXPECT_EQ(engine.error().code, ErrorCode::kResource);
      EXPECT_THAT(engine.error().message, testing::HasSubstr("injected fault"));
      EXPECT_EQ(calls, fail_at + 1) << "something went on after the fault";
    }
  }
}

TEST(Faults, ABackendThatCannotBeMade) {
  const auto engine = load_bytes(
      model_bytes("llama"), {.n_threads = 1},
      [](unsigned) -> Result<std::unique_ptr<Backend>> { return fail(ErrorCode::kUnsupported, "no such device"); });
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().message, "no such device");
}

}  // namespace
}  // namespace quern
