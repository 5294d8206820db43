// Q5_K: Q4_K with a fifth bit for each code, kept apart.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct Q5_K {
  struct Block {
    uint16_t d;          // f16
    uint16_t dmin;       // f16, subtracted
    uint8_t scales[12];  // see super_block.h
    uint8_t qh[32];      // bit k of byte l: bit 4 of the code of element 32k + l
    uint8_t qs[128];     // low 4 bits, byte 32p + l: element 64p + l low nibble, 64p + 32 + l high
  };
  static_assert(sizeof(Block) == 176);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 5, .sub_block = 32, .has_min = true, .has_scales = true};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = f16_to_f32(block.dmin);
    unpack_scales6(block.scales, out.scale, out.min);
    paired_nibbles(block.qs, out.code);
    add_bit_planes(block.qh, 4, out.code);
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_affine(in, 32, 31, 63, fit);
    block.d = fit.d;
    block.dmin = fit.m;
    pack_scales6(fit, block.scales);
    for (int i = 0; i < kSuper; ++i) {
      put_paired_nibble(block.qs, i, fit.code[i] & 15);
      block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | (fit.code[i] >> 4) << (i / 32));
    }
  }
};

}  // namespace

FormatInfo q5_k() {
  return describe<Q5_K>();
}

}  // namespace quern::formats_detail
