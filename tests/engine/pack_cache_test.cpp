// The pack cache by way of the engine: the same logits without it, when it is filled and when it is mapped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "os/file.h"
#include "os/mapped_file.h"
#include "tests/engine/engine_fixture.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Through a backend of the test's own, because the engine keeps nothing of models as small as these.
BackendFactory with_cache(const std::string& model, const std::string& folder, std::shared_ptr<MappedFile>& file) {
  return [=, &file](unsigned threads) {
    file = std::make_shared<MappedFile>(MappedFile::open(model).value());
    return make_cpu_backend({.threads = threads,
                             .files = {file.get()},
                             .pack_cache = PackCacheOptions{.folder = folder, .min_model_bytes = 0}});
  };
}

TEST(EnginePackCache, LogitsAreTheSameBits) {
  const std::vector<int32_t> ids = random_ids(40, 260, 1);
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kF32}) {
    for (const char* name : {"llama", "phi3"}) {  // phi3: parts of one tensor
      const TempFolder folder;
      const std::string model = folder.write("model.gguf", model_bytes(name, type));
      std::shared_ptr<MappedFile> file;
      const EngineOptions options{.model_path = model, .n_threads = 2};
      auto plain = Engine::load(options);
      ASSERT_TRUE(plain.has_value()) << plain.error().message;
      const std::vector<float> want = all_logits(**plain, ids);
      for (const char* state : {"packed", "mapped"}) {
        auto engine = EngineInternals::load(options, with_cache(model, folder.path("packed"), file));
        ASSERT_TRUE(engine.has_value()) << engine.error().message;
        EXPECT_THAT((*engine)->info().weights, StartsWith(state));
        EXPECT_TRUE((*engine)->info().notices.empty());
        const std::vector<float> got = all_logits(**engine, ids);
        ASSERT_EQ(got.size(), want.size());
        EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << name << " " << state;
      }
    }
  }
}

// A pack whose contents were changed on the disk under a sound header is computed with: it is trusted like the model's
// own file. The test shows that the weights do come from it.
TEST(EnginePackCache, ComputesWithTheMappedFile) {
  const TempFolder folder;
  const std::string model = folder.write("model.gguf", model_bytes("llama", TensorType::kQ8_0));
  std::shared_ptr<MappedFile> file;
  const EngineOptions options{.model_path = model, .n_threads = 1};
  const auto factory = with_cache(model, folder.path("packed"), file);
  const std::vector<int32_t> ids = {1, 2, 3};
  std::vector<float> want;
  {
    auto engine = EngineInternals::load(options, factory);
    ASSERT_TRUE(engine.has_value());
    want = all_logits(**engine, ids);
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path("packed"))) {
    if (!entry.is_regular_file()) continue;
    auto pack = File::open(entry.path().string(), File::Mode::kReadWrite).value();
    const std::vector<std::byte> zeros(4096);
    ASSERT_TRUE(pack.write_at(4096, zeros).has_value());
  }
  auto engine = EngineInternals::load(options, factory);
  ASSERT_TRUE(engine.has_value());
  const std::vector<float> got = all_logits(**engine, ids);
  EXPECT_NE(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace quern
