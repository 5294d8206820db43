// Q5_0: 32 elements, one scale, 5-bit codes about 16, the fifth bits apart.
#include "quant/block_codec.h"
#include "quant/fit.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;

struct Q5_0 {
  struct Block {
    uint16_t d;              // f16
    uint8_t qh[4];           // bit i: bit 4 of element i's code
    uint8_t qs[kElems / 2];  // low 4 bits: element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 22);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 5, .zero = 16, .sub_block = 32}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    out.scale[0] = 1;
    nibbles(block.qs, out.code);
    add_bits(block.qh, 4, out.code);
  }

  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    block.d = finite_f16(fit_scale(x, {.lo = -16, .hi = 15}));
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kElems; ++i) {
      const int code = d == 0 ? 16 : round_clamp(double(x[i]) / d, -16, 15) + 16;
      put_nibble(block.qs, i, code & 15);
      put_bit(block.qh, i, code >> 4);
    }
  }
};

}  // namespace

FormatInfo q5_0() {
  return describe<Q5_0>();
}

}  // namespace quern::formats_detail
