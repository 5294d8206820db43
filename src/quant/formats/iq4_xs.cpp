// IQ4_XS: 256 elements in 8 sub-blocks of 32; IQ4_NL's levels, 6-bit scales about 32 under one f16.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/iq4_levels.h"
#include "quant/super_block.h"

namespace quern::formats_detail {
namespace {

struct IQ4_XS {
  struct Block {
    uint16_t d;           // f16
    uint16_t scales_h;    // high 2 bits of scale s + 32 at bit 2s
    uint8_t scales_l[4];  // low 4 bits of scale s + 32: even s low nibble, odd s high
    uint8_t qs[128];      // per sub-block 16 bytes: element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 136);

  static FormatInfo info() {
    return {.block_elems = kSuper, .bits = 4, .sub_block = 32, .has_scales = true, .levels = kIq4Levels};
  }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    for (int s = 0; s < 8; ++s) {
      const int low = block.scales_l[s / 2] >> (s % 2 * 4) & 15;
      const int high = block.scales_h >> (2 * s) & 3;
      out.scale[s] = static_cast<int8_t>((low | high << 4) - 32);
      nibbles(block.qs + s * 16, out.code + s * 32);
    }
  }

  static void encode(const float* in, Block& block) {
    SuperFit fit;
    fit_super_signed(in, 32, kIq4Set, -32, 31, fit);
    block.d = fit.d;
    for (int s = 0; s < 8; ++s) {
      const int stored = fit.scale[s] + 32;
      block.scales_l[s / 2] = static_cast<uint8_t>(block.scales_l[s / 2] | (stored & 15) << (s % 2 * 4));
      block.scales_h = static_cast<uint16_t>(block.scales_h | (stored >> 4) << (2 * s));
      for (int i = 0; i < 32; ++i) put_nibble(block.qs + s * 16, i, iq4_code(fit.level[s * 32 + i]));
    }
  }
};

}  // namespace

FormatInfo iq4_xs() {
  return describe<IQ4_XS>();
}

}  // namespace quern::formats_detail
