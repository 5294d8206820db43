// ProfilingBackend: a backend that times each operation of another and counts what the operation must move and
// multiply, by operation and layer, decode steps apart from prompts.
//
// Owns the real backend and passes everything on: results are its results. One thread, as every backend. A device that
// only enqueues is timed wrongly, since a call's time is that until it returns. Nothing is counted outside a StepTimer.
// An operation costs two clock reads and a line in a log, which is summed up between steps. A new operation is one
// line: its name, its cost, the call.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "quern/profile.h"

namespace quern {

class ProfilingBackend final : public Backend {
 public:
  explicit ProfilingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  // What follows belongs to a forward over n_tokens.
  void begin_forward(bool decode, size_t n_tokens);
  // Runs fn as a row of its own beside the operations. `name` is a literal.
  template <class Fn>
  auto timed(std::string_view name, Fn&& fn) {
    const Timing timing(*this, name, {});
    return fn();
  }
  // What was measured since the last call.
  Profile take();

  [[nodiscard]] BackendInfo info() const override { return inner_->info(); }
  void set_threads(unsigned n) override { inner_->set_threads(n); }
  Result<std::unique_ptr<Matrix>> make_matrix(const TensorSource& source) override;
  Status finish_weights() override { return inner_->finish_weights(); }
  Result<std::unique_ptr<Buffer>> make_buffer(size_t bytes) override { return inner_->make_buffer(bytes); }
  Result<std::unique_ptr<Buffer>> make_floats(const TensorSource& source) override;

  void begin_layer(size_t layer) override;
  void embed(const TensorSource& table, std::span<const int32_t> ids, float scale, float* out) override;
  void linear(const float* x, size_t n_tokens, std::span<const LinearOutput> outputs) override;
  void rms_norm(const float* x, const float* weight, size_t n_rows, size_t cols, float eps, float* out) override;
  void rope(float* x, const RopeArgs& args) override;
  void store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float* k, const float* v) override;
  void attention(const AttentionArgs& args) override;
  void silu_mul(const float* gate, const float* up, size_t n, float* out) override;
  void gelu_mul(const float* gate, const float* up, size_t n, float* out) override;
  void add(const float* a, const float* b, size_t n, float* out) override;
  void add_bias(float* x, const float* bias, size_t n_tokens, size_t cols) override;
  void scale(const float* x, float factor, size_t n, float* out) override;
  void gather_rows(const float* x, std::span<const uint32_t> rows, size_t cols, float* out) override;
  void copy_page(const KvLayer& kv, uint32_t from, uint32_t to) override;

 private:
  friend class StepTimer;

  // See ProfileRow.
  struct Cost {
    double memory_bytes = 0, cache_bytes = 0, int_macs = 0, float_macs = 0;
  };
  // `n` floats in all that are read or written.
  static Cost floats(size_t n) { return {.cache_bytes = static_cast<double>(n * sizeof(float))}; }

  // The time of its scope goes to the row of that name in the current layer.
  class Timing {
   public:
    Timing(ProfilingBackend& p, std::string_view op, const Cost& cost)
        : profiler_(p), op_(op), cost_(cost), start_(now_s()) {}
    ~Timing() { profiler_.note(op_, cost_, now_s() - start_); }
    Timing(const Timing&) = delete;
    Timing& operator=(const Timing&) = delete;

   private:
    ProfilingBackend& profiler_;
    std::string_view op_;
    Cost cost_;
    double start_;
  };

  struct Key {
    std::string_view op;
    size_t layer;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const { return std::hash<std::string_view>()(k.op) + 0x9e3779b97f4a7c15 * k.layer; }
  };
  // One call. They are summed up many at a time and between steps: an operation on large matrices leaves nothing else
  // in the caches, so that a lookup at each call would be slow and disturb what is timed.
  struct Call {
    Key key;
    double seconds;
    Cost cost;
  };
  struct Counter {
    size_t calls = 0;
    double seconds = 0;
    Cost cost;
  };
  struct Phase {
    size_t steps = 0, tokens = 0;
    double seconds = 0;
    std::unordered_map<Key, Counter, KeyHash> counters;
  };
  // A tensor by the address of what was made of it.
  struct Tensor {
    std::string role;
    bool is_float = false;
    std::string_view product;  // the name of a product whose first output it is; empty until the first
  };

  void note(std::string_view op, const Cost& cost, double seconds);
  void begin_step() { in_step_ = true; }
  void end_step(double seconds);
  void sum_up();
  std::string_view product_name(std::span<const LinearOutput> outputs);
  std::string_view vector_name(const float* data, std::string_view otherwise);
  std::string_view kept(std::string name) { return *names_.insert(std::move(name)).first; }
  static ProfilePhase take(Phase& phase);

  std::unique_ptr<Backend> inner_;
  Phase prompt_, decode_;
  Phase* phase_ = &prompt_;
  bool in_step_ = false;
  std::vector<Call> log_;  // of phase_, not yet among its counters
  size_t layer_ = kNoLayer;
  std::unordered_map<const void*, Tensor> tensors_;
  std::unordered_set<std::string> names_;  // nodes stay where they are
};

// Its lifetime is one step of the engine, with one forward in it: the whole of which the rows are parts. Does nothing
// without a profiler.
class StepTimer {
 public:
  explicit StepTimer(ProfilingBackend* profiler) : profiler_(profiler) {
    if (profiler_ == nullptr) return;
    profiler_->begin_step();
    start_ = now_s();
  }
  ~StepTimer() {
    if (profiler_ == nullptr) return;
    profiler_->end_step(now_s() - start_);
  }
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;

 private:
  ProfilingBackend* profiler_;
  double start_ = 0;
};

// fn(), timed where there is a profiler.
template <class Fn>
auto timed(ProfilingBackend* profiler, std::string_view name, Fn&& fn) {
  return profiler == nullptr ? fn() : profiler->timed(name, fn);
}

}  // namespace quern
