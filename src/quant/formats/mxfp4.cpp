// MXFP4: 32 elements of E2M1 under one E8M0 power of two. OCP Microscaling Formats (MX) v1.0.
//
// The levels are E2M1 values doubled, so that they are integers, and d is the stored power of two halved.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "quant/block_codec.h"
#include "quant/fit.h"

namespace quern::formats_detail {
namespace {

constexpr int kElems = 32;
constexpr int kMaxExponent = 254;  // 255 is NaN in E8M0
constexpr int8_t kLevels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
constexpr int8_t kSorted[15] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
constexpr LevelSet kSet{.lo = -12, .hi = 12, .sorted = kSorted, .count = 15};

// 2^(e - 128). gguf gives 2^127 for the NaN code 255; so do we.
float half_e8m0(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

uint8_t code_of(int level) {
  return static_cast<uint8_t>(std::find(std::begin(kLevels), std::end(kLevels), level) - std::begin(kLevels));
}

struct MXFP4 {
  struct Block {
    uint8_t e;               // E8M0
    uint8_t qs[kElems / 2];  // element j low nibble, j + 16 high
  };
  static_assert(sizeof(Block) == 17);

  static FormatInfo info() { return {.block_elems = kElems, .bits = 4, .sub_block = 32, .levels = kLevels}; }

  static void explode(const Block& block, BlockCodes& out) {
    out.d = half_e8m0(block.e);
    out.m = 0;
    out.scale[0] = 1;
    nibbles(block.qs, out.code);
  }

  // The exponent that the OCP text prescribes (of the largest value, less E2M1's own) or a neighbour, whichever errs
  // least.
  static void encode(const float* in, Block& block) {
    float x[kElems];
    clean(in, x, kElems);
    float peak = 0;
    for (const float v : x) peak = std::max(peak, std::fabs(v));
    if (peak > 0) {
      const int plain = std::ilogb(peak) - 2 + 127;
      double best = HUGE_VAL;
      for (const int e : {plain, plain + 1, plain - 1}) {
        const auto candidate = static_cast<uint8_t>(std::clamp(e, 0, kMaxExponent));
        const double d = half_e8m0(candidate);
        double error = 0;
        for (const float v : x) {
          const double diff = d * kSet.nearest(v / d) - v;
          error += diff * diff;
        }
        if (error < best) {
          best = error;
          block.e = candidate;
        }
      }
    }
    const double d = half_e8m0(block.e);
    for (int i = 0; i < kElems; ++i) put_nibble(block.qs, i, code_of(kSet.nearest(x[i] / d)));
  }
};

}  // namespace

FormatInfo mxfp4() {
  return describe<MXFP4>();
}

}  // namespace quern::formats_detail
