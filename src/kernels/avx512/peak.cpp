// The peak of AVX-512: vpdpbusd (VNNI) and vfmadd, on full vectors.
#include <immintrin.h>

#include "kernels/avx512/avx512.h"

namespace quern::avx512 {

namespace {

constexpr size_t kChains = 16;  // independent, more than latency x issue width

// An operand that the compiler must take as changed, so that no product leaves the loop.
#define QUERN_FORGET(value) asm volatile("" : "+v"(value))

double int_macs(size_t iterations) {
  __m512i sum[kChains], codes = _mm512_set1_epi8(1), x = _mm512_set1_epi8(1);
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = _mm512_setzero_si512();
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
    QUERN_FORGET(x);
#pragma GCC unroll 16
    for (size_t i = 0; i < kChains; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], codes, x);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 64;
}

double float_macs(size_t iterations) {
  __m512 sum[kChains], a = _mm512_set1_ps(1.0f), x = _mm512_set1_ps(1.0f);
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = _mm512_setzero_ps();
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
    QUERN_FORGET(x);
#pragma GCC unroll 16
    for (size_t i = 0; i < kChains; ++i) sum[i] = _mm512_fmadd_ps(a, x, sum[i]);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 16;
}

#undef QUERN_FORGET

}  // namespace

void fill_peak(KernelTable& t) {
  t.peak_int_macs = int_macs;
  t.peak_float_macs = float_macs;
}

}  // namespace quern::avx512
