#include "kv/store.h"

#include <gtest/gtest.h>

#include "backend/null/null_backend.h"

namespace quern {
namespace {

constexpr KvShape kShape{.n_layers = 3, .n_kv_heads = 2, .head_dim = 4};

// What a page reads as must be what the layers' own pointers hold, in the order that the header promises.
TEST(KvStore, APageIsOneRunOfBytesOverAllLayers) {
  const auto backend = make_null_backend();
  const auto store = KvStore::create(*backend, kShape, 5).value();
  const size_t elements = store->layer(0).page_elements();
  ASSERT_EQ(store->page_bytes(), kShape.n_layers * 2 * elements * sizeof(uint16_t));
  const auto value = [](size_t page, size_t layer, size_t kind, size_t i) {
    return static_cast<uint16_t>(page * 20011 + layer * 5003 + kind * 1009 + i);
  };
  for (size_t page = 0; page < 5; ++page) {
    for (size_t l = 0; l < kShape.n_layers; ++l) {
      const KvLayer& layer = store->layer(l);
      for (size_t i = 0; i < elements; ++i) {
        layer.keys[page * layer.page_stride + i] = value(page, l, 0, i);
        layer.values[page * layer.page_stride + i] = value(page, l, 1, i);
      }
    }
  }
  std::vector<uint16_t> bytes(store->page_bytes() / sizeof(uint16_t));
  store->read_page(3, std::as_writable_bytes(std::span(bytes)));
  for (size_t l = 0; l < kShape.n_layers; ++l) {
    for (size_t i = 0; i < elements; ++i) {
      ASSERT_EQ(bytes[(2 * l) * elements + i], value(3, l, 0, i));
      ASSERT_EQ(bytes[(2 * l + 1) * elements + i], value(3, l, 1, i));
    }
  }
  store->write_page(1, std::as_bytes(std::span(bytes)));
  for (size_t page = 0; page < 5; ++page) {
    const size_t want = page == 1 ? 3 : page;
    for (size_t l = 0; l < kShape.n_layers; ++l) {
      const KvLayer& layer = store->layer(l);
      ASSERT_EQ(layer.keys[page * layer.page_stride], value(want, l, 0, 0));
      ASSERT_EQ(layer.values[page * layer.page_stride + elements - 1], value(want, l, 1, elements - 1));
    }
  }
}

}  // namespace
}  // namespace quern
