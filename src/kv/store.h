// KvStore: the memory behind the pages: keys and values of every layer, float16.
//
// Page p of a layer holds 64 positions (backend.h, KvLayer); the pages p of all layers lie together, so that what is
// used of the cache is one run of memory, however large the context may grow. Memory is address space at first and
// becomes resident as it is written. Owned by the runner, used by its thread.
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "kv/page_pool.h"

namespace quern {

struct KvShape {
  size_t n_layers = 0, n_kv_heads = 0, head_dim = 0;
  // Of one position, all layers, keys and values.
  [[nodiscard]] size_t bytes_per_position() const { return n_layers * n_kv_heads * head_dim * 2 * sizeof(uint16_t); }
  [[nodiscard]] size_t page_bytes() const { return kKvPageTokens * bytes_per_position(); }
  friend bool operator==(const KvShape&, const KvShape&) = default;
};

class KvStore {
 public:
  static Result<std::unique_ptr<KvStore>> create(Backend& backend, const KvShape& shape, size_t n_pages);

  [[nodiscard]] const KvLayer& layer(size_t i) const { return layers_[i]; }
  [[nodiscard]] const KvShape& shape() const { return shape_; }
  [[nodiscard]] PagePool& pool() { return pool_; }
  // Copies whole pages, in every layer.
  void copy(std::span<const PageCopy> copies);

  // A page of all layers as bytes, page_bytes() of them: layer by layer, keys then values, as KvLayer lays them out.
  // For a device whose buffers the processor can address.
  [[nodiscard]] size_t page_bytes() const { return shape_.page_bytes(); }
  void read_page(uint32_t page, std::span<std::byte> to) const;
  void write_page(uint32_t page, std::span<const std::byte> from);

 private:
  KvStore(Backend& backend, const KvShape& shape, size_t n_pages) : backend_(&backend), shape_(shape), pool_(n_pages) {}

  Backend* backend_;
  KvShape shape_;
  PagePool pool_;
  std::unique_ptr<Buffer> buffer_;
  std::vector<KvLayer> layers_;
};

}  // namespace quern
