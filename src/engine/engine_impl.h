// The inside of Engine.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/runner.h"
#include "engine/sequence.h"
#include "quern/quern.h"
#include "text/tokenizer.h"

namespace quern {

// Tokens whose keys and values are still stored after a request ended: a chat's next turn begins with them.
struct RetainedPrefix {
  std::vector<int32_t> ids;
  PageTable pages;
};

class Engine::Impl {
 public:
  std::unique_ptr<Runner> runner;
  std::unique_ptr<Tokenizer> tokenizer;
  EngineInfo info;
  std::string chat_template;
  size_t n_parallel = 1;
  std::optional<RetainedPrefix> retained;
  std::vector<PageTable> bench_tables;  // of time_forward

  // Of load, with a backend of the caller's choice.
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options, const BackendFactory& make_backend);
  Status describe();

  // Generation, see generate.cpp.
  struct Job;
  Result<Sequence> make_sequence(const Request& request, size_t index, unsigned sample);
  Status check(const Request& request) const;
  Status admit(Job& job, size_t index, std::vector<Sequence>& running);
  void drop_cancelled(std::vector<Job>& jobs, std::vector<Sequence>& running);
  Status step(std::vector<Job>& jobs, std::vector<Sequence>& running);
  Status after_forward(std::vector<Job>& jobs, std::vector<Sequence>& running, size_t index,
                       std::span<const float> logits);
};

// The way past the public interface, for tests: an engine on any backend, and its pages.
struct EngineInternals {
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options, const BackendFactory& make_backend) {
    return Engine::Impl::load(options, make_backend);
  }
  static Runner& runner(Engine& engine) { return *engine.impl_->runner; }
  // Pages that the retained prefix holds.
  static size_t retained_pages(const Engine& engine) {
    return engine.impl_->retained ? engine.impl_->retained->pages.pages().size() : 0;
  }
};

}  // namespace quern
