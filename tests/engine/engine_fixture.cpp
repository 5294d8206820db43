#include "tests/engine/engine_fixture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "os/env.h"
#include "tests/support/file_sink.h"

namespace quern {

TempFolder::TempFolder() : path_((std::filesystem::temp_directory_path() / "quern-test-XXXXXX").string()) {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, std::span<const std::byte> bytes) const {
  const std::string p = path(name);
  FileSink sink(p);
  EXPECT_TRUE(sink.write(bytes).has_value());
  EXPECT_TRUE(sink.close().has_value());
  return p;
}

std::vector<std::byte> model_bytes(const std::string& name, TensorType type) {
  auto bytes = tiny_model(name, type);
  if (!bytes) {
    ADD_FAILURE() << bytes.error().message;
    return {};
  }
  return std::move(*bytes);
}

GgufWriter patched_writer(const GgufView& view, const Patch& patch) {
  GgufWriter writer;
  for (const GgufKey& key : view.keys()) {
    if (!patch.drop.contains(std::string(key.name))) writer.add(key.name, key.value);
  }
  for (const GgufTensor& t : view.tensors()) {
    if (patch.drop.contains(std::string(t.name))) continue;
    writer.add_tensor({std::string(t.name), t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}}, t.data);
  }
  if (patch.add) patch.add(writer);
  return writer;
}

std::vector<std::byte> patched(const std::vector<std::byte>& model, const Patch& patch) {
  const auto view = GgufView::parse(model, "tiny");
  if (!view) {
    ADD_FAILURE() << view.error().message;
    return {};
  }
  auto bytes = patched_writer(*view, patch).bytes();
  if (!bytes) {
    ADD_FAILURE() << bytes.error().message;
    return {};
  }
  return std::move(*bytes);
}

Result<std::unique_ptr<Engine>> load_bytes(std::span<const std::byte> bytes, EngineOptions options,
                                           const BackendFactory& backend) {
  const TempFolder folder;
  options.model_path = folder.write("model.gguf", bytes);
  return EngineInternals::load(options, backend);
}

std::unique_ptr<Engine> tiny_engine(const std::string& name, TensorType type, EngineOptions options,
                                    const BackendFactory& backend) {
  if (options.n_threads == 0) options.n_threads = 1;
  auto engine = load_bytes(model_bytes(name, type), options, backend);
  if (!engine) {
    ADD_FAILURE() << name << ": " << engine.error().message;
    std::abort();  // a test that goes on would dereference null
  }
  return std::move(*engine);
}

std::vector<int32_t> random_ids(size_t n, size_t n_vocab, uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.next() % n_vocab);
  return ids;
}

std::vector<float> all_logits(Engine& engine, std::span<const int32_t> ids) {
  std::vector<float> rows;
  size_t expected = 0;
  const auto ok = engine.evaluate(ids, 0, [&](size_t i, std::span<const float> row) {
    EXPECT_EQ(i, expected++);
    rows.insert(rows.end(), row.begin(), row.end());
    return true;
  });
  EXPECT_TRUE(ok.has_value()) << (ok ? "" : ok.error().message);
  EXPECT_EQ(rows.size(), ids.size() * engine.info().n_vocab);
  return rows;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const IsaInfo& isa : isas()) {
    if (isa.supported) names.emplace_back(isa.name);
  }
  return names;
}

std::string cached_model(const std::string& file) {
  std::string folder = env_get("HOME").value_or("") + "/.cache/quern";
  if (auto v = env_get("XDG_CACHE_HOME")) folder = *v + "/quern";
  if (auto v = env_get("QUERN_CACHE")) folder = *v;
  const std::string path = folder + "/models/" + file;
  return std::filesystem::exists(path) ? path : std::string();
}

}  // namespace quern
