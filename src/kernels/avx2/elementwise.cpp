// The generic element-wise kernels, compiled for AVX2 (the compiler vectorizes them; the bits do not change).
#include <immintrin.h>

#include "kernels/avx2/avx2.h"

#pragma GCC optimize("O3")

namespace quern::avx2 {

namespace {

// clang-format off
#include "kernels/generic/scalar.inc"
#include "kernels/generic/elementwise.inc"
// clang-format on

// Clamped to the finite f16 range; NaN passes (the second operand of min and max).
void to_f16(const float* x, size_t n, uint16_t* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 low = _mm256_max_ps(_mm256_set1_ps(-65504.0f), _mm256_loadu_ps(x + i));
    const __m128i h = _mm256_cvtps_ph(_mm256_min_ps(_mm256_set1_ps(65504.0f), low), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), h);
  }
  for (; i < n; ++i) out[i] = static_cast<uint16_t>(_cvtss_sh(clamp_f16(x[i]), _MM_FROUND_TO_NEAREST_INT));
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

}  // namespace quern::avx2
