// AVX2 with FMA and F16C (Haswell, Zen and later): declarations only, so that no shared code is compiled with its
// flags.
#pragma once

#include "kernels/kernels.h"

namespace quern::avx2 {

void fill_matmul(KernelTable& table);
void fill_float_matmul(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
void fill_peak(KernelTable& table);
void fill(KernelTable& table);  // all of the above

}  // namespace quern::avx2
