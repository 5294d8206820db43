// Files of pages of keys and values: any bytes give a page that is written back as it was read, or one error. The first
// byte chooses whether the checksums and the key are made to match, without which nothing behind them would be reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/kv_page_file.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void put(std::vector<std::byte>& file, size_t at, const quern::Digest& d) {
  std::memcpy(file.data() + at, d.data(), d.size());
}

// `how`: 1 the payload's length and checksum too, 2 the key, 4 a shape that may fill the payload.
void seal(std::vector<std::byte>& file, unsigned how) {
  const auto payload = std::span(file).subspan(quern::kKvPageHeaderBytes);
  if (how & 1) {
    const uint64_t n = payload.size();
    std::memcpy(file.data() + 64, &n, sizeof n);
    put(file, 336, quern::digest(payload));
  }
  if (how & 2) {
    quern::Digest previous;
    std::array<int32_t, quern::kKvPageTokens> ids;
    std::memcpy(previous.data(), file.data() + 32, sizeof previous);
    std::memcpy(ids.data(), file.data() + 80, sizeof ids);
    put(file, 16, quern::kv_page_key(previous, ids));
  }
  if (how & 4) {
    const uint32_t shape[] = {1, 1, static_cast<uint32_t>(payload.size() / 256)};
    std::memcpy(file.data() + 48, shape, sizeof shape);
  }
  const size_t at = quern::kKvPageHeaderBytes - sizeof(quern::Digest);
  put(file, at, quern::digest(std::span(file).first(at)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  if (data[0] % 9 != 0 && file.size() >= quern::kKvPageHeaderBytes) {
    std::memcpy(file.data(), "QUERNKV\n\1\0\0\0\x40\0\0\0", 16);
    std::memset(file.data() + 60, 0, 4);
    std::memset(file.data() + 72, 0, 8);
    std::memset(file.data() + 352, 0, 16);
    seal(file, data[0] % 9 - 1u);
  }
  const auto page = quern::parse_kv_page(file);
  if (!page) {
    require(!page.error().message.empty());
    return 0;
  }
  require(page->payload.size() == page->shape.page_bytes());
  require(page->key == quern::kv_page_key(page->previous, page->ids));
  const auto header = quern::kv_page_header(*page);
  require(std::memcmp(header.data(), file.data(), header.size()) == 0);
  return 0;
}
