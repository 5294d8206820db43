// F32: IEEE 754 binary32, little-endian.
#include <bit>
#include <cstring>

#include "quant/format.h"

namespace quern::formats_detail {

static_assert(std::endian::native == std::endian::little);

FormatInfo f32() {
  return {.block_bytes = sizeof(float),
          .bits = 32,
          .is_float = true,
          .decode = [](const std::byte* in, float* out, size_t n) { std::memcpy(out, in, n * sizeof(float)); },
          .encode = [](const float* in, std::byte* out, size_t n) { std::memcpy(out, in, n * sizeof(float)); }};
}

}  // namespace quern::formats_detail
