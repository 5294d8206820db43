// Q6_K: 256 elements in 16 sub-blocks of 16; 6-bit codes about 32, 8-bit scales under one f16.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct Q6_K {
  struct Block {
    uint8_t ql[128];  // low 4 bits: byte 64c + j holds element 128c + j low nibble, 128c + 64 + j high
    uint8_t qh[64];   // high 2 bits: byte 32c + l, field s holds element 128c + 32s + l
    int8_t scales[16];
    uint16_t d;  // f16
  };
  static_assert(sizeof(Block) == 210);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 6, .zero = 32, .sub_block = 16, .has_scales = true};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    for (int s = 0; s < 16; ++s) out.scale[s] = block.scales[s];
    for (int half = 0; half < 2; ++half) {
      for (int l = 0; l < 64; ++l) out.code[half * 128 + l] = block.ql[half * 64 + l] & 15;
      for (int l = 0; l < 64; ++l) out.code[half * 128 + 64 + l] = block.ql[half * 64 + l] >> 4;
    }
    add_crumbs(block.qh, 4, out.code);
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_signed(in, 16, {.lo = -32, .hi = 31}, -128, 127, fit);
    block.d = fit.d;
    for (int s = 0; s < 16; ++s) block.scales[s] = static_cast<int8_t>(fit.scale[s]);
    for (int i = 0; i < kSuper; ++i) {
      const int code = fit.level[i] + 32;
      uint8_t& low = block.ql[i / 128 * 64 + i % 64];
      low = static_cast<uint8_t>(low | (code & 15) << (i % 128 / 64 * 4));
      put_crumb(block.qh, i, code >> 4);
    }
  }
};

}  // namespace

FormatInfo q6_k() {
  return describe<Q6_K>();
}

}  // namespace quern::formats_detail
