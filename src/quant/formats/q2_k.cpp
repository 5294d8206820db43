// Q2_K: 256 elements in 16 sub-blocks of 16; 2-bit codes, 4-bit scales and minima under two f16.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct Q2_K {
  struct Block {
    uint8_t scales[16];  // scale in the low nibble, minimum in the high
    uint8_t qs[64];      // 2-bit fields: byte 32c + l, field s holds element 128c + 32s + l
    uint16_t d;          // f16
    uint16_t dmin;       // f16, subtracted
  };
  static_assert(sizeof(Block) == 84);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 2, .sub_block = 16, .has_min = true, .has_scales = true};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = f16_to_f32(block.dmin);
    for (int s = 0; s < 16; ++s) {
      out.scale[s] = static_cast<int8_t>(block.scales[s] & 15);
      out.min[s] = block.scales[s] >> 4;
    }
    std::memset(out.code, 0, kSuper);
    add_crumbs(block.qs, 0, out.code);
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_affine(in, 16, 3, 15, fit);
    block.d = fit.d;
    block.dmin = fit.m;
    for (int s = 0; s < 16; ++s) block.scales[s] = static_cast<uint8_t>(fit.scale[s] | fit.min[s] << 4);
    for (int i = 0; i < kSuper; ++i) put_crumb(block.qs, i, fit.code[i]);
  }
};

}  // namespace

FormatInfo q2_k() {
  return describe<Q2_K>();
}

}  // namespace quern::formats_detail
