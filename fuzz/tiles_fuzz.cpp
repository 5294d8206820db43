// The file that keeps the tiles of products.
#include <cstdint>

#include "backend/cpu/tiles.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& [key, tile] : quern::parse_tiles(text, "m")) {
    if (tile.groups < 4 || tile.groups % 4 != 0 || tile.tokens % 16 != 0) __builtin_trap();
  }
  return 0;
}
