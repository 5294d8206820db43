// Attention over one KV page with NEON; the arrangement is that of avx512/attention.cpp at a quarter of the width.
// Scores are formed for as many positions at a time as leave sixteen accumulators.
#include <arm_neon.h>

#include "kernels/neon/neon.h"

namespace quern::neon {

namespace {

#include "kernels/generic/scalar.inc"

inline float32x4_t load_f16(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

// exp1 of kernels/generic, four at a time.
inline float32x4_t exp4(float32x4_t x) {
  const float32x4_t low = vdupq_n_f32(-86.0f);
  const uint32x4_t flushed = vcltq_f32(x, low);
  const float32x4_t c = vmaxq_f32(low, vminq_f32(vdupq_n_f32(88.0f), x));
  const float32x4_t n = vrndnq_f32(vmulq_f32(c, vdupq_n_f32(1.44269504088896341f)));
  float32x4_t r = vfmaq_f32(c, n, vdupq_n_f32(-0.693359375f));
  r = vfmaq_f32(r, n, vdupq_n_f32(2.12194440e-4f));
  float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
  p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
  p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
  p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
  p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
  const float32x4_t y = vaddq_f32(vfmaq_f32(r, p, vmulq_f32(r, r)), vdupq_n_f32(1.0f));
  const int32x4_t e = vaddq_s32(vreinterpretq_s32_f32(y), vshlq_n_s32(vcvtq_s32_f32(n), 23));
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_s32(e), flushed));
}

inline float32x4_t kept(float32x4_t v, uint32x4_t mask) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), mask));
}

inline uint32x4_t visible_mask(size_t first, size_t begin, size_t end) {
  constexpr uint32_t kLanes[4] = {0, 1, 2, 3};
  const uint32x4_t lane = vaddq_u32(vld1q_u32(kLanes), vdupq_n_u32(static_cast<uint32_t>(first)));
  return vandq_u32(vcgeq_u32(lane, vdupq_n_u32(static_cast<uint32_t>(begin))),
                   vcltq_u32(lane, vdupq_n_u32(static_cast<uint32_t>(end))));
}

// s: 64 scores of one query -> probabilities; returns the factor for what was summed before.
inline float softmax_page(float* s, size_t begin, size_t end, float* max, float* sum) {
  float m = *max;
  for (size_t p = begin; p < end; ++p) m = s[p] > m ? s[p] : m;
  const float alpha = exp1(*max - m);
  const float32x4_t minus_m = vdupq_n_f32(m);
  float32x4_t part[2] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
  for (size_t p = 0; p < kPagePositions; p += 4) {
    const float32x4_t v = kept(exp4(vsubq_f32(vld1q_f32(s + p), minus_m)), visible_mask(p, begin, end));
    vst1q_f32(s + p, v);
    part[p / 4 % 2] = vaddq_f32(part[p / 4 % 2], v);
  }
  float parts[8];
  vst1q_f32(parts, part[0]);
  vst1q_f32(parts + 4, part[1]);
  *sum = fma1(*sum, alpha, tree8(parts));
  *max = m;
  return alpha;
}

// Scores of Q queries for 4 * V positions from `first_position`.
template <size_t Q, size_t V>
void scores(const AttentionPageArgs& a, size_t first, size_t first_position, float* s) {
  float32x4_t acc[Q][V];
  for (auto& row : acc) {
    for (auto& v : row) v = vdupq_n_f32(0.0f);
  }
  const float* q = a.q + first * a.head_dim;
  const uint16_t* k = a.keys + first_position;
  for (size_t d = 0; d < a.head_dim; ++d, k += kPagePositions) {
#pragma GCC unroll 16
    for (size_t v = 0; v < V; ++v) {
      const float32x4_t key = load_f16(k + 4 * v);
#pragma GCC unroll 4
      for (size_t i = 0; i < Q; ++i) acc[i][v] = vfmaq_n_f32(acc[i][v], key, q[i * a.head_dim + d]);
    }
  }
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) vst1q_f32(s + i * kPagePositions + first_position + 4 * v, acc[i][v]);
  }
}

// out[i][dims] = out * alpha + sum over positions of s * values, for V vectors of dimensions.
template <size_t Q, size_t V>
void weigh(const AttentionPageArgs& a, size_t first, size_t dim, size_t begin, size_t end, const float* s,
           const float* alpha) {
  float32x4_t acc[Q][V];
  float* out = a.out + first * a.head_dim + dim;
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) acc[i][v] = vmulq_n_f32(vld1q_f32(out + i * a.head_dim + 4 * v), alpha[i]);
  }
  for (size_t p = begin; p < end; ++p) {
#pragma GCC unroll 16
    for (size_t v = 0; v < V; ++v) {
      const float32x4_t value = load_f16(a.values + p * a.head_dim + dim + 4 * v);
#pragma GCC unroll 4
      for (size_t i = 0; i < Q; ++i) acc[i][v] = vfmaq_n_f32(acc[i][v], value, s[i * kPagePositions + p]);
    }
  }
  for (size_t i = 0; i < Q; ++i) {
    for (size_t v = 0; v < V; ++v) vst1q_f32(out + i * a.head_dim + 4 * v, acc[i][v]);
  }
}

// Q consecutive queries, all of which see something of the page.
template <size_t Q>
void query_tile(const AttentionPageArgs& a, size_t first) {
  float* s = a.scratch;
  float alpha[Q];
  size_t begin = kPagePositions, end = 0;
  for (size_t i = first; i < first + Q; ++i) {
    begin = a.begin[i] < begin ? a.begin[i] : begin;
    end = a.end[i] > end ? a.end[i] : end;
  }
  constexpr size_t kVectors = Q == 1 ? 16 : Q == 2 ? 8 : 4;
  for (size_t p = 0; p < kPagePositions; p += 4 * kVectors) scores<Q, kVectors>(a, first, p, s);
  for (size_t i = 0; i < Q; ++i) {
    const size_t row = first + i;
    alpha[i] = softmax_page(s + i * kPagePositions, a.begin[row], a.end[row], a.max + row, a.sum + row);
  }
  size_t dim = 0;
  for (; dim + 4 * kVectors <= a.head_dim; dim += 4 * kVectors) weigh<Q, kVectors>(a, first, dim, begin, end, s, alpha);
  for (; dim < a.head_dim; dim += 4) weigh<Q, 1>(a, first, dim, begin, end, s, alpha);
}

// clang-format off
#include "kernels/generic/query_tiles.inc"
// clang-format on

}  // namespace

void fill_attention(KernelTable& table) {
  table.attention_page = attention_by_tiles<4>;
}

}  // namespace quern::neon
