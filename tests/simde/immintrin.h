// Stands in for the compiler's <immintrin.h> where the AVX2 and AVX-512 kernels are compiled for any x86-64 processor:
// SIMDe computes the instructions in plain C. Debian's SIMDe 0.7.4 lacks some of AVX-512, and rounds twice where a
// processor fuses multiply and add; those are here, a lane at a time.
//
// Intel Intrinsics Guide: the operation of each. On the include path of tests/simde alone.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <cstddef>
#include <cstdint>

using __mmask16 = simde__mmask16;

namespace quern_simde {

// One lane of the result from one lane of each operand; vectors are arrays of lanes in memory.
template <class Out, class OutLane, class Lane, class In, class Op, class... More>
inline Out by_lane(Op op, In in, More... more) {
  constexpr size_t kLanes = sizeof(Out) / sizeof(OutLane);
  Out out;
  for (size_t i = 0; i < kLanes; ++i) {
    const auto lane = [i](const auto& v) {
      Lane x;
      __builtin_memcpy(&x, reinterpret_cast<const char*>(&v) + i * sizeof(Lane), sizeof(Lane));
      return x;
    };
    const OutLane r = op(lane(in), lane(more)...);
    __builtin_memcpy(reinterpret_cast<char*>(&out) + i * sizeof(OutLane), &r, sizeof(OutLane));
  }
  return out;
}

template <class V>
inline V fmadd(V a, V b, V c) {
  return by_lane<V, float, float>([](float x, float y, float z) { return __builtin_fmaf(x, y, z); }, a, b, c);
}
// To nearest, ties to even: the one mode that the kernels use.
template <class V>
inline V round_even(V a) {
  return by_lane<V, float, float>([](float x) { return __builtin_rintf(x); }, a);
}

inline __m512 cvtepi32_ps(__m512i a) {
  return by_lane<__m512, float, int32_t>([](int32_t x) { return static_cast<float>(x); }, a);
}
inline __m512i cvttps_epi32(__m512 a) {
  return by_lane<__m512i, int32_t, float>(
      [](float x) { return x >= -0x1p31f && x < 0x1p31f ? static_cast<int32_t>(x) : INT32_MIN; }, a);
}
inline __m512i cvtps_epi32(__m512 a) {
  return cvttps_epi32(round_even(a));
}
inline __m128i cvtepi32_epi8(__m512i a) {
  return by_lane<__m128i, int8_t, int32_t>([](int32_t x) { return static_cast<int8_t>(x); }, a);
}
template <class Lane, class V>
inline __m512i widen(V a) {
  return by_lane<__m512i, int32_t, Lane>([](Lane x) { return static_cast<int32_t>(x); }, a);
}
inline __m256 half_of(__m512 a, size_t half) {
  __m256 out;
  __builtin_memcpy(&out, reinterpret_cast<const char*>(&a) + half * sizeof out, sizeof out);
  return out;
}
inline __m512 cvtph_ps(__m256i a) {
  __m128i in[2];
  __builtin_memcpy(in, &a, sizeof a);
  const __m256 halves[2] = {simde_mm256_cvtph_ps(in[0]), simde_mm256_cvtph_ps(in[1])};
  __m512 out;
  __builtin_memcpy(&out, halves, sizeof out);
  return out;
}
inline __m256i cvtps_ph(__m512 a) {
  const __m128i halves[2] = {simde_mm256_cvtps_ph(half_of(a, 0), 0), simde_mm256_cvtps_ph(half_of(a, 1), 0)};
  __m256i out;
  __builtin_memcpy(&out, halves, sizeof out);
  return out;
}
inline uint16_t cvtss_sh(float x) {
  const __m128i h = simde_mm_cvtps_ph(simde_mm_set1_ps(x), 0);
  uint16_t out;
  __builtin_memcpy(&out, &h, sizeof out);
  return out;
}
inline float first_lane(__m512 a) {
  float out;
  __builtin_memcpy(&out, &a, sizeof out);
  return out;
}
inline void mask_storeu_ps(void* at, __mmask16 mask, __m512 a) {
  for (size_t i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0)
      __builtin_memcpy(static_cast<char*>(at) + 4 * i, reinterpret_cast<const char*>(&a) + 4 * i, 4);
  }
}
template <class V, size_t kLane>
inline V maskz_loadu(uint32_t mask, const void* at) {
  char lanes[sizeof(V)] = {};
  for (size_t i = 0; i < sizeof(V); i += kLane) {
    if ((mask >> (i / kLane) & 1) != 0) __builtin_memcpy(lanes + i, static_cast<const char*>(at) + i, kLane);
  }
  V out;
  __builtin_memcpy(&out, lanes, sizeof out);
  return out;
}
inline int32_t reduce_max_epi32(__m512i a) {
  int32_t lanes[16];
  __builtin_memcpy(lanes, &a, sizeof lanes);
  int32_t top = lanes[0];
  for (int32_t x : lanes) top = x > top ? x : top;
  return top;
}
inline float reduce_max_ps(__m512 a) {
  float lanes[16];
  __builtin_memcpy(lanes, &a, sizeof lanes);
  float top = lanes[0];
  for (float x : lanes) top = x > top ? x : top;
  return top;
}

}  // namespace quern_simde

// Not fused, or not rounded to even, in SIMDe 0.7.4.
#undef _mm256_fmadd_ps
#undef _mm512_fmadd_ps
#undef _mm256_round_ps
#undef _mm512_roundscale_ps
#define _mm256_fmadd_ps(a, b, c) quern_simde::fmadd(a, b, c)
#define _mm512_fmadd_ps(a, b, c) quern_simde::fmadd(a, b, c)
#define _mm256_round_ps(a, mode) quern_simde::round_even(a)
#define _mm512_roundscale_ps(a, mode) quern_simde::round_even(a)

// Template arguments in a call would break the one, the other asks for the operands of its masked form.
#undef _mm256_madd_epi16
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#define _mm256_madd_epi16(...) simde_mm256_madd_epi16(__VA_ARGS__)

// Not there.
#define _cvtss_sh(x, mode) quern_simde::cvtss_sh(x)
#define _mm512_cvtepi32_ps(a) quern_simde::cvtepi32_ps(a)
#define _mm512_cvttps_epi32(a) quern_simde::cvttps_epi32(a)
#define _mm512_cvtps_epi32(a) quern_simde::cvtps_epi32(a)
#define _mm512_cvtepi32_epi8(a) quern_simde::cvtepi32_epi8(a)
#define _mm512_maskz_loadu_ps(mask, at) quern_simde::maskz_loadu<__m512, 4>(mask, at)
#define _mm256_maskz_loadu_epi16(mask, at) quern_simde::maskz_loadu<__m256i, 2>(mask, at)
#define _mm512_cvtepi8_epi32(a) quern_simde::widen<int8_t>(a)
#define _mm512_cvtepu8_epi32(a) quern_simde::widen<uint8_t>(a)
#define _mm512_cvtepu16_epi32(a) quern_simde::widen<uint16_t>(a)
#define _mm512_cvtph_ps(a) quern_simde::cvtph_ps(a)
#define _mm512_cvtps_ph(a, mode) quern_simde::cvtps_ph(a)
#define _mm512_cvtss_f32(a) quern_simde::first_lane(a)
#define _mm512_extractf32x8_ps(a, half) quern_simde::half_of(a, half)
#define _mm512_mask_storeu_ps(at, mask, a) quern_simde::mask_storeu_ps(at, mask, a)
#define _mm512_reduce_max_epi32(a) quern_simde::reduce_max_epi32(a)
#define _mm512_reduce_max_ps(a) quern_simde::reduce_max_ps(a)
