// Parsing must not allocate more than the file could justify, whatever its counts claim. This program's operator new
// counts the bytes asked for.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "gguf/raw_gguf.h"
#include "gguf/reader.h"

namespace {
std::atomic<size_t> allocated{0};
}

// Not inlined: gcc would see free() meet a pointer that it takes for operator new's own.
[[gnu::noinline]] void* operator new(size_t n) {
  allocated += n;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

namespace quern {
namespace {

using testing::array_of;
using testing::RawGguf;

size_t allocated_by_parse(const std::vector<std::byte>& bytes) {
  const size_t before = allocated;
  static_cast<void>(GgufView::parse(bytes, "x.gguf"));
  return allocated - before;
}

TEST(GgufMemory, IsBoundedByTheFile) {
  // Bytes per entry in memory over the least bytes per entry in the file, rounded up, and room for messages.
  const auto limit = [](size_t file_bytes) { return 8 * file_bytes + 4096; };
  const auto expect_bounded = [&](RawGguf file) {
    const auto bytes = file.build();
    EXPECT_LE(allocated_by_parse(bytes), limit(bytes.size()));
  };
  expect_bounded({});
  for (const uint64_t n : {uint64_t{60000}, uint64_t{1} << 40, ~uint64_t{0}}) {
    RawGguf tensors;
    tensors.n_tensors = n;
    expect_bounded(tensors);
    RawGguf keys;
    keys.n_keys = n;
    expect_bounded(keys);
    RawGguf strings;
    strings.keys.push_back({"x", GgufType::kArray, array_of(GgufType::kString, n, ""), {}});
    expect_bounded(strings);
    RawGguf name;
    name.keys[0].name_length = n;
    expect_bounded(name);
    RawGguf rows;
    rows.tensors[0].dims = {8, n};
    expect_bounded(rows);
  }
  RawGguf full;
  full.n_keys = 4000;
  full.data_bytes = 4000 * 14;
  expect_bounded(full);
}

}  // namespace
}  // namespace quern
