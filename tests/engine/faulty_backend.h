// FaultyBackend: passes everything on to another backend, but the k-th allocation fails.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace quern {

class FaultyBackend final : public Backend {
 public:
  // `calls` counts allocations and outlives this; the one with the number `fail_at` (from 0) fails.
  FaultyBackend(std::unique_ptr<Backend> inner, size_t fail_at, size_t& calls)
      : inner_(std::move(inner)), fail_at_(fail_at), calls_(calls) {}

  [[nodiscard]] BackendInfo info() const override { return inner_->info(); }
  void set_threads(unsigned n) override { inner_->set_threads(n); }
  Result<std::unique_ptr<Matrix>> make_matrix(const TensorSource& s) override {
    if (calls_++ == fail_at_) return fail(ErrorCode::kResource, "injected fault");
    return inner_->make_matrix(s);
  }
  Result<std::unique_ptr<Buffer>> make_buffer(size_t bytes) override {
    if (calls_++ == fail_at_) return fail(ErrorCode::kResource, "injected fault");
    return inner_->make_buffer(bytes);
  }
  Result<std::unique_ptr<Buffer>> make_floats(const TensorSource& s) override {
    if (calls_++ == fail_at_) return fail(ErrorCode::kResource, "injected fault");
    return inner_->make_floats(s);
  }

  void embed(const TensorSource& table, std::span<const int32_t> ids, float scale, float* out) override {
    inner_->embed(table, ids, scale, out);
  }
  void linear(const float* x, size_t n_tokens, std::span<const LinearOutput> outputs) override {
    inner_->linear(x, n_tokens, outputs);
  }
  void rms_norm(const float* x, const float* weight, size_t n_rows, size_t cols, float eps, float* out) override {
    inner_->rms_norm(x, weight, n_rows, cols, eps, out);
  }
  void rope(float* x, const RopeArgs& args) override { inner_->rope(x, args); }
  void store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float* k, const float* v) override {
    inner_->store_kv(kv, sequences, k, v);
  }
  void attention(const AttentionArgs& args) override { inner_->attention(args); }
  void silu_mul(const float* gate, const float* up, size_t n, float* out) override {
    inner_->silu_mul(gate, up, n, out);
  }
  void gelu_mul(const float* gate, const float* up, size_t n, float* out) override {
    inner_->gelu_mul(gate, up, n, out);
  }
  void add(const float* a, const float* b, size_t n, float* out) override { inner_->add(a, b, n, out); }
  void add_bias(float* x, const float* bias, size_t n_tokens, size_t cols) override {
    inner_->add_bias(x, bias, n_tokens, cols);
  }
  void scale(const float* x, float factor, size_t n, float* out) override { inner_->scale(x, factor, n, out); }
  void gather_rows(const float* x, std::span<const uint32_t> rows, size_t cols, float* out) override {
    inner_->gather_rows(x, rows, cols, out);
  }
  void copy_page(const KvLayer& kv, uint32_t from, uint32_t to) override { inner_->copy_page(kv, from, to); }

 private:
  std::unique_ptr<Backend> inner_;
  size_t fail_at_;
  size_t& calls_;
};

}  // namespace quern
