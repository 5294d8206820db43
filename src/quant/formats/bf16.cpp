// BF16: the upper half of a binary32, little-endian.
#include <bit>
#include <cstring>

#include "base/half.h"
#include "quant/format.h"

namespace quern::formats_detail {
namespace {

static_assert(std::endian::native == std::endian::little);

void decode(const std::byte* in, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    uint16_t h;
    std::memcpy(&h, in + i * sizeof(h), sizeof(h));
    out[i] = bf16_to_f32(h);
  }
}

void encode(const float* in, std::byte* out, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t h = f32_to_bf16(in[i]);
    std::memcpy(out + i * sizeof(h), &h, sizeof(h));
  }
}

}  // namespace

FormatInfo bf16() {
  return {.block_bytes = sizeof(uint16_t), .bits = 16, .is_float = true, .decode = decode, .encode = encode};
}

}  // namespace quern::formats_detail
