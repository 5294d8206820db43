// The CPU backend: kernels of one ISA, a thread pool, and how work is split among threads. The split never changes a
// bit: an output element is always computed whole, by one thread, in the specified order.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/pack_cache.h"
#include "backend/cpu/tiles.h"
#include "base/checked.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "os/huge_memory.h"
#include "os/thread_pool.h"

namespace quern {

class CpuMatrix final : public Matrix {
 public:
  const FormatInfo* format = nullptr;
  PackedLayout layout;
  std::span<const std::byte> packed;  // within:
  std::shared_ptr<HugeMemory> memory;
  [[nodiscard]] size_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }
};

// Memory of this process for weights, in huge pages; each piece at a cache line. A chunk goes with its last matrix.
class WeightArena {
 public:
  // kResource when there is none. owner() is then what the piece lies in.
  Result<std::byte*> take(size_t bytes);
  [[nodiscard]] const std::shared_ptr<HugeMemory>& owner() const { return chunk_; }

 private:
  std::shared_ptr<HugeMemory> chunk_;
  size_t used_ = 0;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const KernelTable& kernels, const CpuOptions& options);

  [[nodiscard]] BackendInfo info() const override;
  void set_threads(unsigned n) override { pool_.set_active(n); }
  Result<std::unique_ptr<Matrix>> make_matrix(const TensorSource& source) override;
  Status finish_weights() override;
  Result<std::unique_ptr<Buffer>> make_buffer(size_t bytes) override;
  Result<std::unique_ptr<Buffer>> make_floats(const TensorSource& source) override;

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
  // The queries of a few tokens that share a KV head.
  struct AttentionTile {
    const SequenceSpan* sequence;
    size_t first, n_tokens;  // within the sequence's span
    size_t kv_head;
    size_t first_position, end_position;  // union of what its tokens see: [first, end)
    size_t group;                         // query heads per KV head
    [[nodiscard]] size_t n_queries() const { return n_tokens * group; }
    [[nodiscard]] size_t segment_begin() const;
    [[nodiscard]] size_t segment_end() const;
    [[nodiscard]] size_t first_page(size_t segment) const;
    [[nodiscard]] size_t end_page(size_t segment) const;
  };
  struct AttentionState;  // their running softmax
  struct AttentionSegment {
    const AttentionTile* tile;
    size_t index;
    size_t partial;  // where its state begins in partials_
  };
  // The keys and values of one KV head in one page; null: none.
  struct KvBlock {
    const uint16_t* keys = nullptr;
    const uint16_t* values = nullptr;
  };

  // Runs fn(first, count) over [0, n) in chunks, on one thread when the work is small.
  template <class Fn>
  void chunks(size_t n, size_t chunk, Fn&& fn) {
    if (n <= chunk) return fn(0, n);
    pool_.parallel(div_up(n, chunk), [&](size_t unit, unsigned) {
      fn(unit * chunk, n - unit * chunk < chunk ? n - unit * chunk : chunk);
    });
  }
  void quantize(const float* x, size_t n_tokens, size_t cols, std::vector<std::byte>& panels);
  void quantize_fine(const float* x, size_t n_tokens, size_t cols);
  void multiply(const LinearOutput& output, const float* x, size_t n_tokens, size_t group_begin, size_t group_end,
                size_t tokens_at_a_time, unsigned worker);
  static KvBlock kv_block(const KvLayer& kv, const AttentionTile& tile, size_t page);
  void attend(const AttentionArgs& args, const AttentionTile& tile, size_t segment_begin, size_t segment_end,
              KvBlock after, AttentionState state, unsigned worker);
  void gather_queries(const AttentionArgs& args, const AttentionTile& tile, float* q);
  void finish(const AttentionArgs& args, const AttentionTile& tile, const AttentionState& state);
  void attention_whole(const AttentionArgs& args, std::span<const AttentionTile> tiles);
  void attention_split(const AttentionArgs& args, std::span<const AttentionTile> tiles);

  // Weights, see cpu_weights.cpp.
  void pack(const CpuMatrix& m, const TensorSource& s, size_t first, size_t count, std::byte* dst);
  Result<bool> pack_to_cache(CpuMatrix& m, const TensorSource& s, const PackEntry& entry);
  void release_source(std::span<const std::byte> data);
  void describe_weights(BackendInfo& info) const;

  const KernelTable& kernels_;
  ThreadPool pool_;
  Tiles products_;
  std::vector<const MappedFile*> files_;  // empty once the weights are finished
  std::unique_ptr<PackCache> packs_;
  WeightArena arena_;
  double packing_seconds_ = 0;
  // Grow-only scratch, so that a steady loop does not allocate.
  std::vector<std::byte> panels_;       // of n_tokens activations
  std::vector<std::byte> fine_panels_;  // of the same, then what their rounding lost: 2 * n_tokens
  std::vector<float> residual_;
  std::vector<std::vector<float>> worker_scratch_;
  std::vector<float> partials_;
  std::vector<AttentionTile> tiles_;
  std::vector<AttentionSegment> segments_;
};

}  // namespace quern
