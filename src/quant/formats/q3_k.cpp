// Q3_K: 256 elements in 16 sub-blocks of 16; 3-bit codes about 4, 6-bit scales about 32 under one f16.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct Q3_K {
  struct Block {
    uint8_t hmask[32];   // bit k of byte l: bit 2 of the code of element 32k + l
    uint8_t qs[64];      // low 2 bits: byte 32c + l, field s holds element 128c + 32s + l
    uint8_t scales[12];  // 16 scales + 32: low 4 bits in bytes 0..7 (s, s + 8), high 2 bits in bytes 8..11
    uint16_t d;          // f16
  };
  static_assert(sizeof(Block) == 110);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 3, .zero = 4, .sub_block = 16, .has_scales = true};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    for (int s = 0; s < 16; ++s) {
      const int low = block.scales[s % 8] >> (s / 8 * 4) & 15;
      const int high = block.scales[8 + s % 4] >> (s / 4 * 2) & 3;
      out.scale[s] = static_cast<int8_t>((low | high << 4) - 32);
    }
    std::memset(out.code, 0, kSuper);
    add_crumbs(block.qs, 0, out.code);
    add_bit_planes(block.hmask, 2, out.code);
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_signed(in, 16, {.lo = -4, .hi = 3}, -32, 31, fit);
    block.d = fit.d;
    for (int s = 0; s < 16; ++s) {
      const int stored = fit.scale[s] + 32;
      block.scales[s % 8] = static_cast<uint8_t>(block.scales[s % 8] | (stored & 15) << (s / 8 * 4));
      block.scales[8 + s % 4] = static_cast<uint8_t>(block.scales[8 + s % 4] | (stored >> 4) << (s / 4 * 2));
    }
    for (int i = 0; i < kSuper; ++i) {
      const int code = fit.level[i] + 4;
      put_crumb(block.qs, i, code & 3);
      block.hmask[i % 32] = static_cast<uint8_t>(block.hmask[i % 32] | (code >> 2) << (i / 32));
    }
  }
};

}  // namespace

FormatInfo q3_k() {
  return describe<Q3_K>();
}

}  // namespace quern::formats_detail
