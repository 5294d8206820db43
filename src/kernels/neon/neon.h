// NEON with the dot product instructions (Arm v8.2 and later): declarations only, so that no shared code is compiled
// with its flags.
#pragma once

#include "kernels/kernels.h"

namespace quern::neon {

void fill_matmul(KernelTable& table);
void fill_float_matmul(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
void fill_peak(KernelTable& table);
void fill(KernelTable& table);  // all of the above

// What gains from the 8-bit matrix multiply (kernels/neon_i8mm, its own flags), over a table that fill() has filled.
void fill_i8mm_matmul(KernelTable& table);
void fill_i8mm_peak(KernelTable& table);
void fill_i8mm(KernelTable& table);  // both

}  // namespace quern::neon
