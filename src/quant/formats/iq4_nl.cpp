// IQ4_NL: 32 elements, one scale, 4-bit codes into a table of uneven levels.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/iq4_levels.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;

struct IQ4_NL {
  struct Block {
    uint16_t d;              // f16
    uint8_t qs[kElems / 2];  // element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 18);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 4, .sub_block = 32, .levels = kIq4Levels}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    out.scale[0] = 1;
    nibbles(block.qs, out.code);
  }

  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    block.d = finite_f16(fit_scale(x, kIq4Set));
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kElems; ++i) put_nibble(block.qs, i, iq4_code(d == 0 ? 0 : double(x[i]) / d));
  }
};

}  // namespace

FormatInfo iq4_nl() {
  return describe<IQ4_NL>();
}

}  // namespace quern::formats_detail
