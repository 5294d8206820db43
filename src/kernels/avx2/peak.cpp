// The peak of AVX2: vpmaddubsw with the 16-bit sums that follow it, and vfmadd.
#include <immintrin.h>

#include "kernels/avx2/avx2.h"

namespace quern::avx2 {

namespace {

constexpr size_t kChains = 12;  // independent, more than latency x issue width; with the operands 14 of 16 registers

// An operand that the compiler must take as changed, so that no product leaves the loop.
#define QUERN_FORGET(v) asm volatile("" : "+x"(v))

double int_macs(size_t iterations) {
  __m256i sum[kChains], codes = _mm256_set1_epi8(1), x = _mm256_set1_epi8(1);
#pragma GCC unroll 12
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = _mm256_setzero_si256();
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) {
      QUERN_FORGET(x);
      sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(codes, x));
    }
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 32;
}

double float_macs(size_t iterations) {
  __m256 sum[kChains], a = _mm256_set1_ps(1.0f), x = _mm256_set1_ps(1.0f);
#pragma GCC unroll 12
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = _mm256_setzero_ps();
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) {
      QUERN_FORGET(x);
      sum[i] = _mm256_fmadd_ps(a, x, sum[i]);
    }
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 8;
}

#undef QUERN_FORGET

}  // namespace

void fill_peak(KernelTable& t) {
  t.peak_int_macs = int_macs;
  t.peak_float_macs = float_macs;
}

}  // namespace quern::avx2
