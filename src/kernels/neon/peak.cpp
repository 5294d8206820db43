// The peak of NEON: sdot and fmla, on full vectors.
#include <arm_neon.h>

#include "kernels/neon/neon.h"

namespace quern::neon {

namespace {

constexpr size_t kChains = 16;  // independent, more than latency x issue width

// An operand that the compiler must take as changed, so that no product leaves the loop.
#define QUERN_FORGET(value) asm volatile("" : "+w"(value))

double int_macs(size_t iterations) {
  int32x4_t sum[kChains];
  int8x16_t levels = vdupq_n_s8(1), x = vdupq_n_s8(1);
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = vdupq_n_s32(0);
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
    QUERN_FORGET(x);
#pragma GCC unroll 16
    for (size_t i = 0; i < kChains; ++i) sum[i] = vdotq_s32(sum[i], levels, x);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 16;
}

double float_macs(size_t iterations) {
  float32x4_t sum[kChains], a = vdupq_n_f32(1.0f), x = vdupq_n_f32(1.0f);
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) {
    sum[i] = vdupq_n_f32(0.0f);
    QUERN_FORGET(sum[i]);  // else all chains are one
  }
  for (size_t n = 0; n < iterations; ++n) {
    QUERN_FORGET(x);
#pragma GCC unroll 16
    for (size_t i = 0; i < kChains; ++i) sum[i] = vfmaq_f32(sum[i], a, x);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < kChains; ++i) QUERN_FORGET(sum[i]);
  return static_cast<double>(iterations) * kChains * 4;
}

#undef QUERN_FORGET

}  // namespace

void fill_peak(KernelTable& t) {
  t.peak_int_macs = int_macs;
  t.peak_float_macs = float_macs;
}

}  // namespace quern::neon
