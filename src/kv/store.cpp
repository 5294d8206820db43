#include "kv/store.h"

#include <cstring>

#include "base/checked.h"

namespace quern {

Result<std::unique_ptr<KvStore>> KvStore::create(Backend& backend, const KvShape& shape, size_t n_pages) {
  if (n_pages > UINT32_MAX) {
    return fail_f(ErrorCode::kInvalidArgument, "a KV cache of {} pages, at most {}; take a smaller --ctx", n_pages,
                  UINT32_MAX);
  }
  std::unique_ptr<KvStore> store(new KvStore(backend, shape, n_pages));
  const size_t elements = shape.n_kv_heads * shape.head_dim * kKvPageTokens;  // of one layer's keys, or values
  const size_t stride = shape.n_layers * 2 * elements;
  const auto bytes = checked_mul(stride * sizeof(uint16_t), n_pages);
  if (!bytes) return fail_f(ErrorCode::kInvalidArgument, "a KV cache of {} pages overflows the address space", n_pages);
  auto buffer = backend.make_buffer(*bytes);
  if (!buffer) {
    return fail_f(ErrorCode::kResource,
                  "no room for a KV cache of {} positions ({} bytes each): {}; take a smaller --ctx",
                  n_pages * kKvPageTokens, shape.bytes_per_position(), buffer.error().message);
  }
  store->buffer_ = std::move(*buffer);
  auto* at = static_cast<uint16_t*>(store->buffer_->data);
  for (size_t i = 0; i < shape.n_layers; ++i, at += 2 * elements) {
    store->layers_.push_back({.keys = at,
                              .values = at + elements,
                              .n_kv_heads = shape.n_kv_heads,
                              .head_dim = shape.head_dim,
                              .page_stride = stride});
  }
  return store;
}

void KvStore::copy(std::span<const PageCopy> copies) {
  for (const KvLayer& layer : layers_) {
    for (const PageCopy& c : copies) backend_->copy_page(layer, c.from, c.to);
  }
}

void KvStore::read_page(uint32_t page, std::span<std::byte> to) const {
  std::memcpy(to.data(), static_cast<const std::byte*>(buffer_->data) + page * page_bytes(), page_bytes());
}

void KvStore::write_page(uint32_t page, std::span<const std::byte> from) {
  std::memcpy(static_cast<std::byte*>(buffer_->data) + page * page_bytes(), from.data(), page_bytes());
}

}  // namespace quern
