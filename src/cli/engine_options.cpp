#include "cli/engine_options.h"

#include <algorithm>
#include <cmath>

#include "hub/cache.h"

namespace quern::cli {

void ModelOptions::add_model(std::vector<Field>& to) {
  to.push_back({"MODEL", &model, "A GGUF file, or a name from quern list", {.required = true}});
}

void ModelOptions::add_context(std::vector<Field>& to) {
  to.push_back({"--ctx", &n_ctx, "Tokens that the context holds; 0: what the model was made for", {.max = 1 << 28}});
  to.push_back({"--batch", &n_batch, "Most prompt tokens in one pass over the weights", {.min = 1, .max = 1 << 16}});
}

void ModelOptions::add_machine(std::vector<Field>& to) {
  to.push_back({"--threads", &n_threads, "Threads for generating; 0: physical cores within the quota", {.max = 1024}});
  to.push_back({"--threads-batch", &n_threads_batch, "Threads for prompts; 0: as --threads", {.max = 1024}});
  add_loading(to);
}

void ModelOptions::add_loading(std::vector<Field>& to) {
  to.push_back({"--no-mmap", &no_mmap, "Read the file into memory instead of mapping it or its packed weights"});
  to.push_back({"--no-pack-cache", &no_pack_cache, "Pack the weights at this load; neither use nor write the cache"});
  to.push_back({"--pack-cache-limit",
                &pack_cache_gb,
                "GB of packed weights that the cache may hold; 0: 20, or a quarter of the free disk",
                {.max = 1 << 20}});
  to.push_back({"--isa", &isa, "Instruction set of the kernels; the best one where neither this nor QUERN_ISA says"});
}

void ModelOptions::add_profile(std::vector<Field>& to) {
  to.push_back({"--profile",
                &profile,
                "Show where the time went, by operation, and by layer too where layers are asked for",
                {.choices = {"ops", "layers"}, .implied = "ops"}});
}

Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options, size_t n_parallel) {
  QUERN_TRY(const auto settings, hub::hub_options_from_environment());
  QUERN_TRY(const std::string path, hub::resolve_model(options.model, settings));
  QUERN_TRY(auto engine, Engine::load({.model_path = path,
                                       .n_ctx = options.n_ctx,
                                       .n_batch = options.n_batch,
                                       .n_threads = options.n_threads,
                                       .n_threads_batch = options.n_threads_batch,
                                       .n_parallel = n_parallel,
                                       .use_mmap = !options.no_mmap,
                                       .pack_cache = !options.no_pack_cache,
                                       .pack_cache_limit = uint64_t{options.pack_cache_gb} * 1'000'000'000,
                                       .profile = !options.profile.empty(),
                                       .isa = options.isa}));
  for (const std::string& notice : engine->info().notices) note(notice);
  return engine;
}

std::vector<int32_t> start_token(const Engine& engine) {
  std::vector<int32_t> ids = engine.tokenize("", /*add_special=*/true, /*parse_special=*/false);
  const std::vector<int32_t> bos = engine.tokenize(engine.bos_text(), /*add_special=*/false, /*parse_special=*/true);
  if (ids.empty() || bos.size() != 1 || ids[0] != bos[0]) return {};  // a lone EOS begins nothing
  ids.resize(1);
  return ids;
}

std::vector<double> log_softmax(std::span<const float> logits) {
  double max = -INFINITY, sum = 0;
  for (const float v : logits) max = std::max(max, static_cast<double>(v));
  for (const float v : logits) sum += std::exp(v - max);
  std::vector<double> out(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) out[i] = logits[i] - max - std::log(sum);
  return out;
}

}  // namespace quern::cli
