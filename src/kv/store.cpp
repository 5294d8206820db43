#include "kv/store.h"

#include "base/checked.h"

namespace quern {

Result<std::unique_ptr<KvStore>> KvStore::create(Backend& backend, const KvShape& shape, size_t n_pages) {
  if (n_pages > UINT32_MAX) {
    return fail_f(ErrorCode::kInvalidArgument, "a KV cache of {} pages, at most {}; take a smaller --ctx", n_pages,
                  UINT32_MAX);
  }
  std::unique_ptr<KvStore> store(new KvStore(backend, shape, n_pages));
  const size_t per_page = shape.n_kv_heads * shape.head_dim * kKvPageTokens * sizeof(uint16_t);
  const auto bytes = checked_mul(per_page, n_pages);
  if (!bytes) return fail_f(ErrorCode::kInvalidArgument, "a KV cache of {} pages overflows the address space", n_pages);
  for (size_t i = 0; i < shape.n_layers; ++i) {
    KvLayer layer{.n_kv_heads = shape.n_kv_heads, .head_dim = shape.head_dim};
    for (uint16_t** half : {&layer.keys, &layer.values}) {
      auto buffer = backend.make_buffer(*bytes);
      if (!buffer) {
        return fail_f(ErrorCode::kResource,
                      "no room for a KV cache of {} positions ({} bytes each): {}; take a smaller --ctx",
                      n_pages * kKvPageTokens, shape.bytes_per_position(), buffer.error().message);
      }
      *half = static_cast<uint16_t*>((*buffer)->data);
      store->buffers_.push_back(std::move(*buffer));
    }
    store->layers_.push_back(layer);
  }
  return store;
}

void KvStore::copy(std::span<const PageCopy> copies) {
  for (const KvLayer& layer : layers_) {
    for (const PageCopy& c : copies) backend_->copy_page(layer, c.from, c.to);
  }
}

}  // namespace quern
