// Matrix products of quantized weights by the 8-bit matrix multiply (smmla): two rows by two tokens, eight columns
// deep, so half as many multiplies as by dot products. Chunks are zipped so that eight columns of a row are neighbours,
// once per block; accumulators keep the shape of the instruction's result until they are stored. One token alone gains
// nothing and takes the dot product.
#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/neon.h"
#include "kernels/shape.h"

namespace quern::neon {

namespace {

#include "kernels/neon/matmul.inc"

// Rows 2 * Pair and 2 * Pair + 1, each twice: the lanes of a result are row, token = (0, 0), (0, 1), (1, 0), (1, 1).
template <int Pair>
inline float32x4_t twice(float32x4_t v) {
  return Pair == 0 ? vzip1q_f32(v, v) : vzip2q_f32(v, v);
}
template <int Pair>
inline int32x4_t twice(int32x4_t v) {
  return Pair == 0 ? vzip1q_s32(v, v) : vzip2q_s32(v, v);
}
template <FormatShape S, int Pair>
inline Scales twice(const Scales& s) {
  Scales p;
  p.w = twice<Pair>(s.w);
  if constexpr (S.has_min) p.m = twice<Pair>(s.m);
  if constexpr (S.sub_block == 16) {
    for (size_t h = 0; h < 2; ++h) {
      p.sub[h] = twice<Pair>(s.sub[h]);
      if constexpr (S.has_min) p.min[h] = twice<Pair>(s.min[h]);
    }
  }
  return p;
}

// Columns 8 * i .. 8 * i + 7 of the rows of a pair, of the two chunks that hold them.
template <int Pair>
inline int8x16_t rows_of(int8x16_t even, int8x16_t odd) {
  const int32x4_t a = vreinterpretq_s32_s8(even), b = vreinterpretq_s32_s8(odd);
  return vreinterpretq_s8_s32(Pair == 0 ? vzip1q_s32(a, b) : vzip2q_s32(a, b));
}

// acc[t + p]: tokens t and t + 1 (t even) of row pair p.
struct MatrixBlock {
  template <FormatShape S, size_t T>
  static void add(const Codes& k, const Scales& s, const std::byte* x, float32x4_t* acc) {
    int8x16_t rows[2][4];
    for (size_t i = 0; i < 4; ++i) {
      rows[0][i] = rows_of<0>(k.c[2 * i], k.c[2 * i + 1]);
      rows[1][i] = rows_of<1>(k.c[2 * i], k.c[2 * i + 1]);
    }
    const Scales scales[2] = {twice<S, 0>(s), twice<S, 1>(s)};
#pragma GCC unroll 8
    for (size_t t = 0; t < T; t += 2) {
      int8x16_t tokens[4];
      for (size_t i = 0; i < 2; ++i) {
        const int64x2_t a = vreinterpretq_s64_u8(load(x + 32 * t + 16 * i));
        const int64x2_t b = vreinterpretq_s64_u8(load(x + 32 * t + 32 + 16 * i));
        tokens[2 * i] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
        tokens[2 * i + 1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
      }
#pragma GCC unroll 2
      for (size_t p = 0; p < 2; ++p) {
        int32x4_t low = vmmlaq_s32(vdupq_n_s32(0), rows[p][0], tokens[0]);
        low = vmmlaq_s32(low, rows[p][1], tokens[1]);
        int32x4_t high = S.sub_block == 32 ? low : vdupq_n_s32(0);
        high = vmmlaq_s32(high, rows[p][2], tokens[2]);
        high = vmmlaq_s32(high, rows[p][3], tokens[3]);
        acc[t + p] = accumulate<S, 2, T>(acc[t + p], S.sub_block == 32 ? high : low, high, scales[p], x + 32 * T, t);
      }
    }
  }
  template <size_t T>
  static void store(const float32x4_t* acc, float* y, size_t y_stride, size_t rows_left) {
    for (size_t t = 0; t < T; t += 2) {
      store_row(y + t * y_stride, vuzp1q_f32(acc[t], acc[t + 1]), rows_left);
      store_row(y + (t + 1) * y_stride, vuzp2q_f32(acc[t], acc[t + 1]), rows_left);
    }
  }
};

}  // namespace

void fill_i8mm_matmul(KernelTable& table) {
  fill_slots<DotBlock, MatrixBlock>(table);
}

}  // namespace quern::neon
