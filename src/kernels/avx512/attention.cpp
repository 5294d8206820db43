// Attention over one KV page with AVX-512. Scores: a lane is a position, keys lie transposed, so each score is one
// chain of fma over the head's dimensions and no horizontal sum is needed. Values: a lane is a dimension, one chain
// over positions. Tiles of up to six queries share the conversion of keys and values from f16.
#include <immintrin.h>

#include "kernels/avx512/avx512.h"

namespace quern::avx512 {

namespace {

constexpr size_t kVectors = kPagePositions / 16;

// The page to fetch while this one is at work: that of the caller with the first queries, then, since to fetch what is
// there costs less than to ask, the page itself.
struct PageAhead {
  const uint16_t* keys;
  const uint16_t* values;
};
inline PageAhead page_ahead(const AttentionPageArgs& a, size_t first) {
  if (first != 0 || a.next_keys == nullptr) return {a.keys, a.values};
  return {a.next_keys, a.next_values};
}

// 64 halves into the second cache; the first holds the page at work. Attention of a decode step at depth 4096 on one
// thread (Zen 4): 12.8 ms without, 9.1 by T0, 5.3 by T1.
inline void fetch_row(const uint16_t* p) {
  _mm_prefetch(p, _MM_HINT_T1);
  _mm_prefetch(p + 32, _MM_HINT_T1);
}

inline __m512 load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// Sixteen lanes, of which Mask exist: the dimensions of a head are a multiple of 8, not of 16.
template <__mmask16 Mask>
inline __m512 load_lanes(const float* p) {
  if constexpr (Mask == 0xffff) return _mm512_loadu_ps(p);
  return _mm512_maskz_loadu_ps(Mask, p);
}
template <__mmask16 Mask>
inline __m512 load_lanes(const uint16_t* p) {
  if constexpr (Mask == 0xffff) return load_f16(p);
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(Mask, p));
}
template <__mmask16 Mask>
inline void store_lanes(float* p, __m512 v) {
  if constexpr (Mask == 0xffff) {
    _mm512_storeu_ps(p, v);
  } else {
    _mm512_mask_storeu_ps(p, Mask, v);
  }
}

// exp1 of kernels/generic for arguments that are at most 0, in the lanes of `mask`; 0 in the others.
inline __m512 exp16(__mmask16 mask, __m512 x) {
  const __m512 low = _mm512_set1_ps(-86.0f);
  const auto kept = static_cast<__mmask16>(mask & _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ));
  const __m512 c = _mm512_max_ps(low, x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(c, _mm512_set1_ps(1.44269504088896341f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375f), c);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  const __m512 y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
  const __m512i exponent = _mm512_slli_epi32(_mm512_cvttps_epi32(n), 23);
  return _mm512_castsi512_ps(_mm512_maskz_add_epi32(kept, _mm512_castps_si512(y), exponent));
}

// The eight partial sums of 64 values and their fixed tree.
inline float sum64(const __m512* v) {
  __m256 part = _mm256_setzero_ps();
  for (size_t i = 0; i < kVectors; ++i) {
    part = _mm256_add_ps(part, _mm512_castps512_ps256(v[i]));
    part = _mm256_add_ps(part, _mm512_extractf32x8_ps(v[i], 1));
  }
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(part), _mm256_extractf128_ps(part, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline uint64_t visible_mask(size_t begin, size_t end) {
  const uint64_t below_end = end == 64 ? ~0ull : (1ull << end) - 1;
  return below_end & ~((1ull << begin) - 1);
}

// Scores of Q queries from row `first` -> probabilities stored at s; alpha: the factors for what was summed before.
template <int Q>
void softmax_step(const AttentionPageArgs& a, size_t first, __m512 (*v)[kVectors], float* s, float* alpha) {
  uint64_t visible[Q];
  float max[Q], less[16];
#pragma GCC unroll 6
  for (size_t i = 0; i < Q; ++i) {
    visible[i] = visible_mask(a.begin[first + i], a.end[first + i]);
    const float before = a.max[first + i];
    __m512 top = _mm512_set1_ps(before);
#pragma GCC unroll 4
    for (size_t j = 0; j < kVectors; ++j) {
      top = _mm512_mask_max_ps(top, static_cast<__mmask16>(visible[i] >> (16 * j)), top, v[i][j]);
    }
    max[i] = _mm512_reduce_max_ps(top);
    less[i] = before - max[i];
  }
  constexpr __mmask16 kQueries = (1u << Q) - 1;
  _mm512_mask_storeu_ps(alpha, kQueries, exp16(kQueries, _mm512_maskz_loadu_ps(kQueries, less)));
#pragma GCC unroll 6
  for (size_t i = 0; i < Q; ++i) {
    const __m512 m = _mm512_set1_ps(max[i]);
#pragma GCC unroll 4
    for (size_t j = 0; j < kVectors; ++j) {
      v[i][j] = exp16(static_cast<__mmask16>(visible[i] >> (16 * j)), _mm512_sub_ps(v[i][j], m));
      _mm512_storeu_ps(s + i * kPagePositions + 16 * j, v[i][j]);
    }
    a.sum[first + i] = __builtin_fmaf(a.sum[first + i], alpha[i], sum64(v[i]));
    a.max[first + i] = max[i];
  }
}

// Q queries from row `first`: scores of the page, then softmax. s: [Q][64], alpha: [Q].
template <int Q>
void scores(const AttentionPageArgs& a, const uint16_t* next, size_t first, float* s, float* alpha) {
  __m512 acc[Q][kVectors];
  for (auto& row : acc) {
    for (auto& v : row) v = _mm512_setzero_ps();
  }
  const float* q = a.q + first * a.head_dim;
  const uint16_t* k = a.keys;
  for (size_t d = 0; d < a.head_dim; ++d, k += kPagePositions, next += kPagePositions) {
    fetch_row(next);
    const __m512 k0 = load_f16(k), k1 = load_f16(k + 16), k2 = load_f16(k + 32), k3 = load_f16(k + 48);
#pragma GCC unroll 6
    for (int i = 0; i < Q; ++i) {
      const __m512 qd = _mm512_set1_ps(q[static_cast<size_t>(i) * a.head_dim + d]);
      acc[i][0] = _mm512_fmadd_ps(qd, k0, acc[i][0]);
      acc[i][1] = _mm512_fmadd_ps(qd, k1, acc[i][1]);
      acc[i][2] = _mm512_fmadd_ps(qd, k2, acc[i][2]);
      acc[i][3] = _mm512_fmadd_ps(qd, k3, acc[i][3]);
    }
  }
  softmax_step<Q>(a, first, acc, s, alpha);
}

// out[i][dims] = out * alpha + sum over positions of s * values, for V vectors of dimensions, of each the lanes in
// Mask.
template <int Q, int V, __mmask16 Mask = 0xffff>
void weigh(const AttentionPageArgs& a, const uint16_t* next, size_t first, size_t dim, size_t begin, size_t end,
           const float* s, const float* alpha) {
  __m512 acc[Q][V];
  float* out = a.out + first * a.head_dim + dim;
#pragma GCC unroll 6
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 4
    for (size_t v = 0; v < V; ++v) {
      acc[i][v] = _mm512_mul_ps(load_lanes<Mask>(out + i * a.head_dim + 16 * v), _mm512_set1_ps(alpha[i]));
    }
  }
  for (size_t p = begin; p < end; ++p) {
    __m512 value[V];
    if constexpr (V == 4) fetch_row(next + p * a.head_dim + dim);
#pragma GCC unroll 4
    for (size_t v = 0; v < V; ++v) value[v] = load_lanes<Mask>(a.values + p * a.head_dim + dim + 16 * v);
#pragma GCC unroll 6
    for (size_t i = 0; i < Q; ++i) {
      const __m512 weight = _mm512_set1_ps(s[i * kPagePositions + p]);
#pragma GCC unroll 4
      for (size_t v = 0; v < V; ++v) acc[i][v] = _mm512_fmadd_ps(weight, value[v], acc[i][v]);
    }
  }
#pragma GCC unroll 6
  for (size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 4
    for (size_t v = 0; v < V; ++v) store_lanes<Mask>(out + i * a.head_dim + 16 * v, acc[i][v]);
  }
}

// Q consecutive queries, all of which see something of the page.
template <int Q>
void query_tile(const AttentionPageArgs& a, size_t first) {
  float* s = a.scratch;
  float alpha[Q];
  const PageAhead next = page_ahead(a, first);
  scores<Q>(a, next.keys, first, s, alpha);
  size_t begin = kPagePositions, end = 0;
  for (size_t i = first; i < first + Q; ++i) {
    begin = a.begin[i] < begin ? a.begin[i] : begin;
    end = a.end[i] > end ? a.end[i] : end;
  }
  size_t dim = 0;
  for (; dim + 64 <= a.head_dim; dim += 64) weigh<Q, 4>(a, next.values, first, dim, begin, end, s, alpha);
  for (; dim + 16 <= a.head_dim; dim += 16) weigh<Q, 1>(a, next.values, first, dim, begin, end, s, alpha);
  if (dim < a.head_dim) weigh<Q, 1, 0x00ff>(a, next.values, first, dim, begin, end, s, alpha);
}

// clang-format off
#include "kernels/generic/query_tiles.inc"
// clang-format on

}  // namespace

void fill_attention(KernelTable& table) {
  table.attention_page = attention_by_tiles<6>;
}

}  // namespace quern::avx512
