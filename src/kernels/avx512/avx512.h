// AVX-512 with VNNI (Ice Lake, Zen 4 and later): declarations only, so that no shared code is compiled with its flags.
#pragma once

#include "kernels/kernels.h"

namespace quern::avx512 {

void fill_matmul(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
void fill_peak(KernelTable& table);
void fill(KernelTable& table);  // all of the above

// For processors without VNNI (Skylake-X): products of their own (kernels/avx512bw), the rest shared. Only matmul.cpp
// and peak.cpp are compiled with VNNI.
void fill_matmul_bw(KernelTable& table);
void fill_bw(KernelTable& table);

}  // namespace quern::avx512
