// Q5_1: 32 elements, one scale and one offset, 5-bit codes, the fifth bits apart.
#include "quant/block_codec.h"
#include "quant/fit.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;

struct Q5_1 {
  struct Block {
    uint16_t d;              // f16
    uint16_t m;              // f16, added
    uint8_t qh[4];           // bit i: bit 4 of element i's code
    uint8_t qs[kElems / 2];  // low 4 bits: element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 24);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 5, .sub_block = 32, .has_min = true}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = -f16_to_f32(block.m);
    out.scale[0] = 1;
    out.min[0] = 1;
    nibbles(block.qs, out.code);
    add_bits(block.qh, 4, out.code);
  }

  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    const Affine fit = fit_affine(x, 31, false);
    block.d = finite_f16(fit.d);
    block.m = finite_f16(-fit.m);
    const float d = f16_to_f32(block.d);
    const float m = f16_to_f32(block.m);
    for (int i = 0; i < kElems; ++i) {
      const int code = d == 0 ? 0 : round_clamp((double(x[i]) - m) / d, 0, 31);
      put_nibble(block.qs, i, code & 15);
      put_bit(block.qh, i, code >> 4);
    }
  }
};

}  // namespace

FormatInfo q5_1() {
  return describe<Q5_1>();
}

}  // namespace quern::formats_detail
