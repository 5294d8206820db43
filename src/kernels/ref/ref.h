// The scalar kernels: what every ISA must equal, and what fills a slot that an ISA leaves empty.
#pragma once

#include <bit>

#include "kernels/kernels.h"

namespace quern::ref {

std::array<MatmulFn, kTensorTypeCount> matmul_table();
const KernelTable& table();
double peak_int_macs(size_t iterations);
double peak_float_macs(size_t iterations);

// 2^(e - 128), exact also where that is subnormal: the scale of MXFP4 with its levels doubled.
inline float mxfp4_scale(uint8_t e) {
  return std::bit_cast<float>(e >= 2 ? static_cast<uint32_t>(e - 1) << 23 : 0x00200000u << e);
}

}  // namespace quern::ref
