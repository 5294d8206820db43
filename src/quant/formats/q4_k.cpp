// Q4_K: 256 elements in 8 sub-blocks of 32; 4-bit codes, 6-bit scales and minima under two f16.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct Q4_K {
  struct Block {
    uint16_t d;          // f16
    uint16_t dmin;       // f16, subtracted
    uint8_t scales[12];  // see super_block.h
    uint8_t qs[128];     // byte 32p + l: element 64p + l low nibble, 64p + 32 + l high
  };
  static_assert(sizeof(Block) == 144);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 4, .sub_block = 32, .has_min = true, .has_scales = true};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = f16_to_f32(block.dmin);
    unpack_scales6(block.scales, out.scale, out.min);
    paired_nibbles(block.qs, out.code);
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_affine(in, 32, 15, 63, fit);
    block.d = fit.d;
    block.dmin = fit.m;
    pack_scales6(fit, block.scales);
    for (int i = 0; i < kSuper; ++i) put_paired_nibble(block.qs, i, fit.code[i]);
  }
};

}  // namespace

FormatInfo q4_k() {
  return describe<Q4_K>();
}

}  // namespace quern::formats_detail
