// Backend: where weights and activations live and the operations on them; one per device.
//
// A backend is used by one thread at a time (the runner's). Operations take pointers into buffers that the same backend
// allocated; sizes were checked when the model was loaded and the batch admitted, so an operation cannot fail. A CPU
// backend has finished when a call returns; a device may only have enqueued it until read() or sync().
//
// Shapes: rows x cols, row-major. n_tokens rows of activations may belong to several sequences (a ragged batch).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/mapped_file.h"
#include "quant/format.h"

namespace quern {

// A weight matrix [rows][cols] in the backend's own layout: y = W x.
class Matrix {
 public:
  virtual ~Matrix() = default;
  size_t rows = 0, cols = 0;
  size_t bytes = 0;  // resident, of the packed form
};

// Owned device memory.
class Buffer {
 public:
  virtual ~Buffer() = default;
  void* data = nullptr;
  size_t bytes = 0;
  [[nodiscard]] float* floats() const { return static_cast<float*>(data); }
};

// A tensor as the file holds it; `data` must stay valid as long as the backend object made from it.
struct TensorSource {
  std::string name;  // for messages
  TensorType type = TensorType::kF32;
  size_t rows = 1, cols = 0;
  std::span<const std::byte> data;
  size_t first_row = 0;  // in the tensor of that name, where only part of it is meant
};

// Consecutive tokens of one sequence within a batch.
struct SequenceSpan {
  size_t first_token = 0;  // row in the batch
  size_t n_tokens = 0;
  size_t first_position = 0;        // of the first token, counted from the sequence's start
  std::span<const uint32_t> pages;  // page i holds positions [64 i, 64 i + 64)
};

// Keys and values of one layer, f16: those of page p begin at p * page_stride. Keys [n_kv_heads][head_dim][64], values
// [n_kv_heads][64][head_dim].
struct KvLayer {
  uint16_t* keys = nullptr;
  uint16_t* values = nullptr;
  size_t n_kv_heads = 0, head_dim = 0;
  size_t page_stride = 0;  // elements, at least page_elements()
  // Of the keys of one page, and of its values.
  [[nodiscard]] size_t page_elements() const;
};

struct LinearOutput {
  const Matrix* weight;
  float* y;           // [n_tokens][weight->rows]
  bool fine = false;  // 16-bit activations where the format's products take 8-bit ones, at twice the arithmetic
};

struct RopeArgs {
  size_t n_tokens = 0, n_heads = 0, head_dim = 0;
  size_t half = 0;             // pairs that are rotated
  bool interleaved = false;    // pairs (2i, 2i + 1), else (i, i + half)
  const float* cos = nullptr;  // [n_tokens][half]
  const float* sin = nullptr;
};

struct AttentionArgs {
  const float* q = nullptr;  // [n_tokens][n_heads][head_dim]
  float* out = nullptr;      // same shape
  size_t n_heads = 0;
  float scale = 1.0f;
  size_t window = 0;  // positions a token sees, itself included; 0: all before it
  KvLayer kv;
  std::span<const SequenceSpan> sequences;
};

struct BackendInfo {
  std::string name;    // "cpu"
  std::string detail;  // instruction set, device name
  unsigned threads = 1;
  std::string weights;               // how they came to memory, in words: "packed in 1.2 s"
  std::vector<std::string> notices;  // what the user should know of that
};

// Of begin_layer: what follows belongs to no layer.
inline constexpr size_t kNoLayer = SIZE_MAX;

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual BackendInfo info() const = 0;
  // Threads that take part, for backends that have them; clamped to what was created.
  virtual void set_threads(unsigned n) = 0;

  // Packs a matrix. The source may be released afterwards.
  virtual Result<std::unique_ptr<Matrix>> make_matrix(const TensorSource& source) = 0;
  // Every matrix has been made: from now on they are computed with. Fails when memory ran out.
  virtual Status finish_weights() { return {}; }
  // Zeroed memory; it becomes resident as it is touched.
  virtual Result<std::unique_ptr<Buffer>> make_buffer(size_t bytes) = 0;
  // `n` floats decoded from the source's format.
  virtual Result<std::unique_ptr<Buffer>> make_floats(const TensorSource& source) = 0;

  // The operations that follow belong to this layer, or to none (kNoLayer). A note for who watches; nothing is
  // computed.
  virtual void begin_layer(size_t) {}

  // out[t] = row ids[t] of the table, in its file format, times scale.
  virtual void embed(const TensorSource& table, std::span<const int32_t> ids, float scale, float* out) = 0;
  // y = W x for each output; the outputs share x [n_tokens][cols].
  virtual void linear(const float* x, size_t n_tokens, std::span<const LinearOutput> outputs) = 0;
  virtual void rms_norm(const float* x, const float* weight, size_t n_rows, size_t cols, float eps, float* out) = 0;
  virtual void rope(float* x, const RopeArgs& args) = 0;
  // Writes the keys and values [n_tokens][n_kv_heads][head_dim] of the batch into their pages.
  virtual void store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float* k, const float* v) = 0;
  virtual void attention(const AttentionArgs& args) = 0;
  virtual void silu_mul(const float* gate, const float* up, size_t n, float* out) = 0;
  virtual void gelu_mul(const float* gate, const float* up, size_t n, float* out) = 0;
  virtual void add(const float* a, const float* b, size_t n, float* out) = 0;
  // x[t] += bias for each of n_tokens rows.
  virtual void add_bias(float* x, const float* bias, size_t n_tokens, size_t cols) = 0;
  virtual void scale(const float* x, float factor, size_t n, float* out) = 0;
  // out[i] = x[rows[i]]
  virtual void gather_rows(const float* x, std::span<const uint32_t> rows, size_t cols, float* out) = 0;
  // The page `from` of a layer becomes a copy at `to` (copy-on-write).
  virtual void copy_page(const KvLayer& kv, uint32_t from, uint32_t to) = 0;
};

// Where packed weights are kept between loads (backend/cpu/pack_cache.h).
struct PackCacheOptions {
  std::string folder;
  uint64_t limit_bytes = 0;                       // of all packs; 0: the rule in pack_cache.h
  uint64_t min_model_bytes = uint64_t{16} << 20;  // a smaller model is packed faster than the cache is looked up
};

struct CpuOptions {
  unsigned threads = 1;
  std::string isa;  // empty: the best that this processor runs
  // The files that the tensors will come from. Their pages are released as they have been packed. They must stay until
  // finish_weights().
  std::vector<const MappedFile*> files;
  std::optional<PackCacheOptions> pack_cache;  // of `files`; none: weights are packed at each load
  std::string tiles_path;  // where the tiles of products are kept (backend/cpu/tiles.h); empty: by this process alone
};
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options);

}  // namespace quern
