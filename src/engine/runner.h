// Runner: a model on its backend with its KV store; turns scheduled tokens into one forward.
//
// One thread at a time. Owns everything that a forward touches, in the order in which it must be destroyed.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/profile/profiling_backend.h"
#include "engine/model_file.h"
#include "kv/store.h"
#include "model/model.h"
#include "quern/quern.h"

namespace quern {

// Tokens of one sequence for the next forward. positions [first_position, first_position + ids.size()).
struct RunnerInput {
  std::span<const int32_t> ids;
  size_t first_position = 0;
  PageTable* pages = nullptr;
  bool want_logits = false;  // of the last token
  bool all_logits = false;   // of every token
  bool states = false;       // the final states of every token instead; such inputs come last
};

// Valid until the next forward.
struct RunnerOutput {
  std::span<const float> logits;  // [rows][n_vocab], the rows in order of inputs and their tokens
  std::span<const float> states;  // [tokens of inputs with `states`][d_model]
};

// Makes the backend that a runner owns, for at most `threads` threads.
using BackendFactory = std::function<Result<std::unique_ptr<Backend>>(unsigned threads)>;

class Runner {
 public:
  // An empty `make_backend` is the processor's, by the options and QUERN_ISA.
  static Result<std::unique_ptr<Runner>> create(const EngineOptions& options, const BackendFactory& make_backend = {});

  [[nodiscard]] const ModelFile& model_file() const { return *file_; }
  [[nodiscard]] const GgufView& file() const { return file_->view(); }
  [[nodiscard]] const Model& model() const { return *model_; }
  [[nodiscard]] KvStore& kv() { return *kv_; }
  [[nodiscard]] const BackendInfo& backend_info() const { return backend_info_; }
  [[nodiscard]] size_t n_ctx() const { return n_ctx_; }
  [[nodiscard]] size_t max_tokens() const { return max_tokens_; }
  [[nodiscard]] size_t max_logit_rows() const { return max_logit_rows_; }
  [[nodiscard]] unsigned threads() const { return threads_; }
  [[nodiscard]] unsigned threads_batch() const { return threads_batch_; }
  [[nodiscard]] const std::string& threads_reason() const { return threads_reason_; }
  // Null unless EngineOptions::profile asked for it. A forward counts within a StepTimer.
  [[nodiscard]] ProfilingBackend* profiler() { return profiler_; }
  // What the user should know about how the weights were loaded.
  [[nodiscard]] const std::vector<std::string>& notices() const { return notices_; }
  // Each becomes at least 1 and at most what create() started.
  void set_threads(unsigned n, unsigned n_batch);

  // Runs all inputs in one forward. On an error nothing was computed, and what the inputs' pages held is unchanged.
  Result<RunnerOutput> forward(std::span<const RunnerInput> inputs);

 private:
  Runner() = default;
  Status allocate(const EngineOptions& options);
  Result<size_t> pages_within(uint64_t kv_bytes, size_t wanted) const;
  Status check_inputs(std::span<const RunnerInput> inputs) const;

  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<Backend> backend_;
  ProfilingBackend* profiler_ = nullptr;  // backend_, where it is one
  std::unique_ptr<KvStore> kv_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Buffer> logits_, states_;
  BackendInfo backend_info_;
  size_t n_ctx_ = 0, max_tokens_ = 0, max_logit_rows_ = 0;
  unsigned threads_ = 1, threads_batch_ = 1, max_threads_ = 1;
  std::string threads_reason_;
  std::vector<std::string> notices_;
  // Reused from call to call.
  std::vector<int32_t> ids_;
  std::vector<SequenceSpan> spans_;
  std::vector<uint32_t> rows_;
  std::vector<PageCopy> copies_;
};

}  // namespace quern
