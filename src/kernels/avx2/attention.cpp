// Attention over one KV page with AVX2; the arrangement is that of avx512/attention.cpp at half the width: a tile of
// one or two queries by 64 positions would need all registers, so scores are formed 32 positions at a time.
#include <immintrin.h>

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/exp8.h"

namespace quern::avx2 {

namespace {

#include "kernels/generic/scalar.inc"

// The page to fetch while this one is at work: that of the caller with the first queries, then, since to fetch what is
// there costs less than to ask, the page itself. Into the second cache: the first holds the page at work.
struct PageAhead {
  const uint16_t* keys;
  const uint16_t* values;
};
inline PageAhead page_ahead(const AttentionPageArgs& a, size_t first) {
  if (first != 0 || a.next_keys == nullptr) return {a.keys, a.values};
  return {a.next_keys, a.next_values};
}

inline __m256 load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256 visible_mask(size_t first, size_t begin, size_t end) {
  const __m256i lane =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(first)));
  const __m256i from = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(static_cast<int>(begin) - 1));
  return _mm256_castsi256_ps(
      _mm256_and_si256(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(end)), lane)));
}

// s: 64 scores of one query -> probabilities; returns the factor for what was summed before.
inline float softmax_page(float* s, size_t begin, size_t end, float* max, float* sum) {
  const __m256 minus_inf = _mm256_set1_ps(-__builtin_inff());
  __m256 top = minus_inf;
  for (size_t p = 0; p < kPagePositions; p += 8) {
    const __m256 v = _mm256_blendv_ps(minus_inf, _mm256_loadu_ps(s + p), visible_mask(p, begin, end));
    top = _mm256_max_ps(top, v);
  }
  float m = *max;
  float tops[8];
  _mm256_storeu_ps(tops, top);
  for (float v : tops) m = v > m ? v : m;
  const float alpha = exp1(*max - m);
  const __m256 minus_m = _mm256_set1_ps(m);
  __m256 part = _mm256_setzero_ps();
  for (size_t p = 0; p < kPagePositions; p += 8) {
    const __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(s + p), minus_m));
    const __m256 v = _mm256_and_ps(e, visible_mask(p, begin, end));
    _mm256_storeu_ps(s + p, v);
    part = _mm256_add_ps(part, v);
  }
  float parts[8];
  _mm256_storeu_ps(parts, part);
  *sum = fma1(*sum, alpha, tree8(parts));
  *max = m;
  return alpha;
}

// Scores of Q queries for the 8 * V positions from `first_position`.
template <int Q, int V>
void scores(const AttentionPageArgs& a, const uint16_t* next, size_t first, size_t first_position, float* s) {
  __m256 acc[Q][V];
  for (auto& row : acc) {
    for (auto& v : row) v = _mm256_setzero_ps();
  }
  const float* q = a.q + first * a.head_dim;
  const uint16_t* k = a.keys + first_position;
  for (size_t d = 0; d < a.head_dim; ++d, k += kPagePositions) {
    _mm_prefetch(next + d * kPagePositions + first_position, _MM_HINT_T1);
    __m256 key[V];
    for (size_t v = 0; v < V; ++v) key[v] = load_f16(k + 8 * v);
#pragma GCC unroll 4
    for (size_t i = 0; i < Q; ++i) {
      const __m256 qd = _mm256_set1_ps(q[i * a.head_dim + d]);
      for (size_t v = 0; v < V; ++v) acc[i][v] = _mm256_fmadd_ps(qd, key[v], acc[i][v]);
    }
  }
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) _mm256_storeu_ps(s + i * kPagePositions + first_position + 8 * v, acc[i][v]);
  }
}

template <int Q, int V>
void weigh(const AttentionPageArgs& a, const uint16_t* next, size_t first, size_t dim, size_t begin, size_t end,
           const float* s, const float* alpha) {
  __m256 acc[Q][V];
  float* out = a.out + first * a.head_dim + dim;
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) {
      acc[i][v] = _mm256_mul_ps(_mm256_loadu_ps(out + i * a.head_dim + 8 * v), _mm256_set1_ps(alpha[i]));
    }
  }
  for (size_t p = begin; p < end; ++p) {
    if constexpr (V > 1) _mm_prefetch(next + p * a.head_dim + dim, _MM_HINT_T1);
    __m256 value[V];
    for (size_t v = 0; v < V; ++v) value[v] = load_f16(a.values + p * a.head_dim + dim + 8 * v);
#pragma GCC unroll 4
    for (size_t i = 0; i < Q; ++i) {
      const __m256 weight = _mm256_set1_ps(s[i * kPagePositions + p]);
      for (size_t v = 0; v < V; ++v) acc[i][v] = _mm256_fmadd_ps(weight, value[v], acc[i][v]);
    }
  }
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) _mm256_storeu_ps(out + i * a.head_dim + 8 * v, acc[i][v]);
  }
}

template <int Q>
void query_tile(const AttentionPageArgs& a, size_t first) {
  float* s = a.scratch;
  float alpha[Q];
  const PageAhead next = page_ahead(a, first);
  size_t begin = kPagePositions, end = 0;
  for (size_t i = first; i < first + Q; ++i) {
    begin = a.begin[i] < begin ? a.begin[i] : begin;
    end = a.end[i] > end ? a.end[i] : end;
  }
  constexpr int kVectors = Q <= 2 ? 4 : 2;  // Q * V accumulators and V keys in 16 registers
  for (size_t p = 0; p < kPagePositions; p += 8 * kVectors) scores<Q, kVectors>(a, next.keys, first, p, s);
  for (size_t i = 0; i < Q; ++i) {
    const size_t row = first + i;
    alpha[i] = softmax_page(s + i * kPagePositions, a.begin[row], a.end[row], a.max + row, a.sum + row);
  }
  size_t dim = 0;
  for (; dim + 8 * kVectors <= a.head_dim; dim += 8 * kVectors)
    weigh<Q, kVectors>(a, next.values, first, dim, begin, end, s, alpha);
  for (; dim < a.head_dim; dim += 8) weigh<Q, 1>(a, next.values, first, dim, begin, end, s, alpha);
}

// clang-format off
#include "kernels/generic/query_tiles.inc"
// clang-format on

}  // namespace

void fill_attention(KernelTable& table) {
  table.attention_page = attention_by_tiles<4>;
}

}  // namespace quern::avx2
