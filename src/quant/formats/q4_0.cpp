// Q4_0: 32 elements, one scale, 4-bit codes about 8.
#include "quant/block_codec.h"
#include "quant/fit.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;

struct Q4_0 {
  struct Block {
    uint16_t d;              // f16
    uint8_t qs[kElems / 2];  // element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 18);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 4, .zero = 8, .sub_block = 32}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    out.scale[0] = 1;
    nibbles(block.qs, out.code);
  }

  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    block.d = finite_f16(fit_scale(x, {.lo = -8, .hi = 7}));
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kElems; ++i) put_nibble(block.qs, i, d == 0 ? 8 : round_clamp(double(x[i]) / d, -8, 7) + 8);
  }
};

}  // namespace

FormatInfo q4_0() {
  return describe<Q4_0>();
}

}  // namespace quern::formats_detail
