// What the tests of the whole engine share: models in files that vanish, patched models, rows of logits.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/engine_impl.h"
#include "gguf/writer.h"
#include "quern/quern.h"
#include "tests/support/tiny_model.h"

namespace quern {

// A folder of its own for the test's files, removed with them.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  // The path of the file written.
  std::string write(const std::string& name, std::span<const std::byte> bytes) const;

 private:
  std::string path_;
};

// Bytes of a tiny model; fails the test where there are none.
std::vector<std::byte> model_bytes(const std::string& name, TensorType type = TensorType::kF32);

// A copy of a model in which keys or tensors differ.
struct Patch {
  std::set<std::string> drop;            // keys and tensors to leave out
  std::function<void(GgufWriter&)> add;  // keys and tensors to put in their place
};
std::vector<std::byte> patched(const std::vector<std::byte>& model, const Patch& patch);
// The same as a writer, which keeps views of `view`'s bytes.
GgufWriter patched_writer(const GgufView& view, const Patch& patch);

// Loads from bytes; the file is unlinked again. options.model_path is set here.
Result<std::unique_ptr<Engine>> load_bytes(std::span<const std::byte> bytes, EngineOptions options = {},
                                           const BackendFactory& backend = {});
// As load_bytes of a tiny model, for tests that need an engine: one thread unless the options say otherwise.
std::unique_ptr<Engine> tiny_engine(const std::string& name, TensorType type, EngineOptions options = {},
                                    const BackendFactory& backend = {});

std::vector<int32_t> random_ids(size_t n, size_t n_vocab, uint64_t seed);

// Logits after every token of `ids`, by evaluate(): [ids.size()][n_vocab].
std::vector<float> all_logits(Engine& engine, std::span<const int32_t> ids);

std::vector<std::string> supported_isas();

// The path of a model in the cache folder, empty where it is absent.
std::string cached_model(const std::string& file);

}  // namespace quern
