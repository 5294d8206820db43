// The options that every command with a running model shares, and the way from them to an engine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"
#include "quern/quern.h"

namespace quern::cli {

struct ModelOptions {
  std::string model;
  uint32_t n_ctx = 0;
  uint32_t n_batch = EngineOptions().n_batch;
  uint32_t n_threads = 0;
  uint32_t n_threads_batch = 0;
  bool no_mmap = false;
  bool no_pack_cache = false;
  uint32_t pack_cache_gb = 0;
  std::string isa;
  std::string profile;  // empty, ops or layers

  // Appends MODEL.
  void add_model(std::vector<Field>& to);
  // Appends --threads, --threads-batch, --no-mmap, those of the pack cache and --isa; --ctx and --batch as well where
  // the command leaves the context to the user.
  void add_machine(std::vector<Field>& to);
  // Of those, what concerns the weights and the kernels alone.
  void add_loading(std::vector<Field>& to);
  void add_context(std::vector<Field>& to);
  // Appends --profile.
  void add_profile(std::vector<Field>& to);
};

// Resolves the model's name and loads it; what is odd about the file goes to standard error.
Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options, size_t n_parallel = 1);

// The token that begins a text, or nothing where the model asks for none.
std::vector<int32_t> start_token(const Engine& engine);

// Natural logarithm of the softmax.
std::vector<double> log_softmax(std::span<const float> logits);

}  // namespace quern::cli
