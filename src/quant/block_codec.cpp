#include "quant/block_codec.h"

namespace quern::formats_detail {

void decode_codes(const FormatInfo& info, const BlockCodes& codes, float* out) {
  for (uint32_t start = 0, s = 0; start < info.block_elems; start += info.sub_block, ++s) {
    const float scale = codes.d * static_cast<float>(codes.scale[s]);
    const float min = info.has_min ? codes.m * static_cast<float>(codes.min[s]) : 0.0f;
    for (uint32_t i = start; i < start + info.sub_block; ++i) {
      const float product = scale * static_cast<float>(info.level(codes.code[i]));
      out[i] = info.has_min ? product - min : product;
    }
  }
}

}  // namespace quern::formats_detail
