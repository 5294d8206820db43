// The generic element-wise kernels, compiled for NEON (the compiler vectorizes them; the bits do not change).
#include <arm_neon.h>

#include "kernels/neon/neon.h"

#pragma GCC optimize("O3")

namespace quern::neon {

namespace {

// clang-format off
#include "kernels/generic/scalar.inc"
#include "kernels/generic/elementwise.inc"
// clang-format on

inline uint16x4_t round_f16(float32x4_t v) {
  return vreinterpret_u16_f16(vcvt_f16_f32(v));
}

// Clamped to the finite f16 range; fmin and fmax hand NaN on.
void to_f16(const float* x, size_t n, uint16_t* out) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const float32x4_t low = vmaxq_f32(vdupq_n_f32(-65504.0f), vld1q_f32(x + i));
    vst1_u16(out + i, round_f16(vminq_f32(vdupq_n_f32(65504.0f), low)));
  }
  for (; i < n; ++i) out[i] = vget_lane_u16(round_f16(vdupq_n_f32(clamp_f16(x[i]))), 0);
}

}  // namespace

void fill_elementwise(KernelTable& t) {
  t.quantize_panel = quantize_panel;
  t.quantize_residual = quantize_residual;
  t.rms_norm = rms_norm;
  t.rope = rope;
  t.silu_mul = silu_mul;
  t.gelu_mul = gelu_mul;
  t.add = add;
  t.scale = scale;
  t.to_f16 = to_f16;
  t.attention_merge = attention_merge;
}

}  // namespace quern::neon
