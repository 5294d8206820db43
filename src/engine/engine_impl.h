// The inside of Engine.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/loop.h"
#include "engine/runner.h"
#include "quern/quern.h"
#include "text/tokenizer.h"

namespace quern {

class Engine::Impl {
 public:
  std::unique_ptr<Runner> runner;
  std::unique_ptr<Tokenizer> tokenizer;
  EngineInfo info;
  std::string chat_template;
  size_t n_parallel = 1;
  std::unique_ptr<Loop> loop;           // also holds the prefixes that later requests may begin with
  std::vector<PageTable> bench_tables;  // of time_forward

  // Of load, with a backend of the caller's choice.
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options, const BackendFactory& make_backend);
  Status describe();
};

// The way past the public interface, for tests: an engine on any backend, and its pages.
struct EngineInternals {
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options, const BackendFactory& make_backend) {
    return Engine::Impl::load(options, make_backend);
  }
  static Runner& runner(Engine& engine) { return *engine.impl_->runner; }
  static const Tokenizer& tokenizer(const Engine& engine) { return *engine.impl_->tokenizer; }
  // Pages that kept prefixes hold.
  static size_t retained_pages(const Engine& engine) { return engine.impl_->loop->prefixes().pages(); }
};

}  // namespace quern
