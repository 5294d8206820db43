// The generic element-wise kernels, compiled for AVX2 (the compiler vectorizes them; the bits do not change).
#include <immintrin.h>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/exp8.h"

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

// x / (1 + exp(-v)), and the rest of a call by the generic kernel. The compiler leaves exp1 scalar: 33 instructions an
// element.
inline __m256 sigmoid_of(__m256 v, __m256 x) {
  const __m256 minus_v = _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
  return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(minus_v)));
}

void silu_mul8(const float* gate, const float* up, size_t n, float* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(sigmoid_of(g, g), _mm256_loadu_ps(up + i)));
  }
  silu_mul(gate + i, up + i, n - i, out + i);
}

void gelu_mul8(const float* gate, const float* up, size_t n, float* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(g, g), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
    const __m256 u2 = _mm256_mul_ps(_mm256_mul_ps(cubic, g), _mm256_set1_ps(1.5957691216057308f));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(sigmoid_of(u2, g), _mm256_loadu_ps(up + i)));
  }
  gelu_mul(gate + i, up + i, n - i, out + i);
}

// The low bytes of 32-bit lanes, in order.
inline __m256i low_bytes32(const __m256i* v) {
  const __m256i mask = _mm256_set1_epi32(0xff);
  const __m256i lo = _mm256_packus_epi32(_mm256_and_si256(v[0], mask), _mm256_and_si256(v[1], mask));
  const __m256i hi = _mm256_packus_epi32(_mm256_and_si256(v[2], mask), _mm256_and_si256(v[3], mask));
  return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(lo, hi), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

inline int32_t greatest(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1)));
}

// quantize_panel of the generic kernels by hand, as in avx512/elementwise.cpp: the compiler takes 8.4 instructions an
// element.
void quantize_panel8(const float* x, size_t n_tokens, size_t cols, std::byte* panel) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  for (size_t b = 0; b < cols / 32; ++b, panel += n_tokens * kActBlockBytes) {
    std::byte* fields = panel + n_tokens * 32;
    for (size_t t = 0; t < n_tokens; ++t) {
      __m256 in[4];
      __m256i bits[4], q[4];
      for (size_t i = 0; i < 4; ++i) {
        in[i] = _mm256_loadu_ps(x + t * cols + b * 32 + 8 * i);
        bits[i] = _mm256_and_si256(_mm256_castps_si256(in[i]), magnitude);
      }
      const __m256i top = _mm256_max_epi32(_mm256_max_epi32(bits[0], bits[1]), _mm256_max_epi32(bits[2], bits[3]));
      const auto amax = __builtin_bit_cast(float, greatest(top));
      const float d = amax / 127.0f;
      const __m256 inverse = _mm256_set1_ps(amax > 1e-36f ? 127.0f / amax : 0.0f);
      for (size_t i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(in[i], inverse));
      const __m256i bytes = low_bytes32(q);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + t * 32), bytes);
      // Sums of signed bytes: flipped to unsigned, summed against zero, 16 * 128 a half taken off again.
      const __m256i flipped = _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80)));
      const __m256i sad = _mm256_sad_epu8(flipped, _mm256_setzero_si256());
      const auto s0 = 2048 - static_cast<int32_t>(_mm256_extract_epi64(sad, 0) + _mm256_extract_epi64(sad, 1));
      const auto s1 = 2048 - static_cast<int32_t>(_mm256_extract_epi64(sad, 2) + _mm256_extract_epi64(sad, 3));
      put_fields(fields, n_tokens, t, d, s0, s1);
    }
  }
}

}  // namespace

void fill_elementwise(KernelTable& t) {
  t.quantize_panel = quantize_panel8;
  t.quantize_residual = quantize_residual;
  t.rms_norm = rms_norm;
  t.rope = rope;
  t.silu_mul = silu_mul8;
  t.gelu_mul = gelu_mul8;
  t.add = add;
  t.scale = scale;
  t.to_f16 = to_f16;
  t.attention_merge = attention_merge;
}

}  // namespace quern::avx2
