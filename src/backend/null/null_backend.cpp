#include "backend/null/null_backend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checked.h"

namespace quern {

namespace {

// FNV-1a over ids, then a finalizer so that every bit counts in the remainder.
constexpr uint64_t kSeed = 0xcbf29ce484222325ull;
uint64_t mix(uint64_t hash, int32_t id) {
  return (hash ^ static_cast<uint32_t>(id)) * 0x100000001b3ull;
}
int32_t token_of(uint64_t hash, size_t n_vocab) {
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 33;
  return static_cast<int32_t>(hash % n_vocab);
}

// Above it allocators that look for mistakes (ASan's) abort where others return null.
constexpr size_t kMostBytes = size_t{1} << 38;

class HeapBuffer final : public Buffer {
 public:
  explicit HeapBuffer(size_t n) {
    data = std::calloc(std::max<size_t>(n, 1), 1);
    bytes = n;
  }
  ~HeapBuffer() override { std::free(data); }
};

class NullMatrix final : public Matrix {};

class NullBackend final : public Backend {
 public:
  [[nodiscard]] BackendInfo info() const override { return {.name = "null", .detail = "null", .threads = 1}; }
  void set_threads(unsigned) override {}

  Result<std::unique_ptr<Matrix>> make_matrix(const TensorSource& source) override {
    auto m = std::make_unique<NullMatrix>();
    m->rows = source.rows;
    m->cols = source.cols;
    m->bytes = source.data.size();
    return std::unique_ptr<Matrix>(std::move(m));
  }
  Result<std::unique_ptr<Buffer>> make_buffer(size_t bytes) override {
    if (bytes > kMostBytes) return fail_f(ErrorCode::kResource, "no memory for a buffer of {} bytes", bytes);
    auto buffer = std::make_unique<HeapBuffer>(bytes);
    if (buffer->data == nullptr) return fail_f(ErrorCode::kResource, "no memory for a buffer of {} bytes", bytes);
    return std::unique_ptr<Buffer>(std::move(buffer));
  }
  Result<std::unique_ptr<Buffer>> make_floats(const TensorSource& source) override {
    const auto n = checked_mul(source.rows, source.cols);
    const auto bytes = n ? checked_mul(*n, sizeof(float)) : std::nullopt;
    if (!bytes) return fail_f(ErrorCode::kCorrupt, "{}: its shape overflows", source.name);
    return make_buffer(*bytes);
  }

  void embed(const TensorSource&, std::span<const int32_t> ids, float, float*) override {
    ids_.assign(ids.begin(), ids.end());
    hashes_.assign(ids.size(), kSeed);
  }
  // The head comes alone and last; what other matrices that come alone write is never read.
  void linear(const float*, size_t n_tokens, std::span<const LinearOutput> outputs) override {
    if (outputs.size() != 1) return;
    const size_t n_vocab = outputs[0].weight->rows;
    for (size_t t = 0; t < n_tokens; ++t) {
      float* y = outputs[0].y + t * n_vocab;
      std::fill_n(y, n_vocab, 0.0f);
      y[token_of(hashes_[t], n_vocab)] = 1.0f;
    }
  }
  void rms_norm(const float*, const float*, size_t, size_t, float, float*) override {}
  void rope(float*, const RopeArgs&) override {}
  void silu_mul(const float*, const float*, size_t, float*) override {}
  void gelu_mul(const float*, const float*, size_t, float*) override {}
  void add(const float*, const float*, size_t, float*) override {}
  void add_bias(float*, const float*, size_t, size_t) override {}
  void scale(const float*, float, size_t, float*) override {}

  // An id takes a slot in the keys and one in the values, 16 bits each.
  void store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float*, const float*) override {
    for (const SequenceSpan& s : sequences) {
      for (size_t i = 0; i < s.n_tokens; ++i) {
        const size_t at = slot(kv, s, s.first_position + i);
        const auto id = static_cast<uint32_t>(ids_[s.first_token + i]);
        kv.keys[at] = static_cast<uint16_t>(id);
        kv.values[at] = static_cast<uint16_t>(id >> 16);
      }
    }
  }
  void attention(const AttentionArgs& a) override {
    for (const SequenceSpan& s : a.sequences) {
      uint64_t hash = kSeed;
      for (size_t pos = 0; pos < s.first_position + s.n_tokens; ++pos) {
        const size_t at = slot(a.kv, s, pos);
        hash = mix(hash, static_cast<int32_t>(a.kv.keys[at] | static_cast<uint32_t>(a.kv.values[at]) << 16));
        if (pos >= s.first_position) hashes_[s.first_token + pos - s.first_position] = hash;
      }
    }
    gathered_ = false;
  }
  // Called once for each kind of state, with the same rows.
  void gather_rows(const float*, std::span<const uint32_t> rows, size_t, float*) override {
    if (gathered_) return;
    for (size_t i = 0; i < rows.size(); ++i) hashes_[i] = hashes_[rows[i]];  // rows ascend
    gathered_ = true;
  }
  void copy_page(const KvLayer& kv, uint32_t from, uint32_t to) override {
    const size_t bytes = kv.page_elements() * sizeof(uint16_t), stride = kv.page_stride;
    std::memcpy(kv.keys + to * stride, kv.keys + from * stride, bytes);
    std::memcpy(kv.values + to * stride, kv.values + from * stride, bytes);
  }

 private:
  static size_t slot(const KvLayer& kv, const SequenceSpan& s, size_t position) {
    const size_t page_positions = kv.page_elements() / (kv.n_kv_heads * kv.head_dim);
    return s.pages[position / page_positions] * kv.page_stride + position % page_positions;
  }

  // Of the batch at hand: a row's id, and what its last attention saw.
  std::vector<int32_t> ids_;
  std::vector<uint64_t> hashes_;
  bool gathered_ = false;
};

}  // namespace

std::unique_ptr<Backend> make_null_backend() {
  return std::make_unique<NullBackend>();
}

int32_t null_next_token(std::span<const int32_t> ids, size_t n_vocab) {
  uint64_t hash = kSeed;
  for (int32_t id : ids) hash = mix(hash, id);
  return token_of(hash, n_vocab);
}

}  // namespace quern
