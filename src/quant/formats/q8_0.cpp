// Q8_0: 32 elements, one scale, signed bytes.
#include <algorithm>
#include <cmath>

#include "quant/block_codec.h"
#include "quant/fit.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;

struct Q8_0 {
  struct Block {
    uint16_t d;  // f16
    int8_t qs[kElems];
  };
  static_assert(sizeof(Block) == 34);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 8, .zero = 128, .sub_block = 32}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = f16_to_f32(block.d);
    out.m = 0;
    out.scale[0] = 1;
    for (int i = 0; i < kElems; ++i) out.code[i] = static_cast<uint8_t>(block.qs[i] + 128);
  }

  // No search: at 8 bits the plain range scale is within a few percent of the best.
  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    float peak = 0;
    for (const float v : x) peak = std::max(peak, std::fabs(v));
    block.d = finite_f16(peak / 127);
    const float d = f16_to_f32(block.d);
    for (int i = 0; i < kElems; ++i)
      block.qs[i] = static_cast<int8_t>(d == 0 ? 0 : round_clamp(double(x[i]) / d, -127, 127));
  }
};

}  // namespace

FormatInfo q8_0() {
  return describe<Q8_0>();
}

}  // namespace quern::formats_detail
