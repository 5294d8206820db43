// Matrix products of quantized weights by the dot product instructions.
#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/neon.h"
#include "kernels/shape.h"

namespace quern::neon {

namespace {

#include "kernels/neon/matmul.inc"

}  // namespace

void fill_matmul(KernelTable& table) {
  fill_slots<DotBlock, DotBlock>(table);
}

}  // namespace quern::neon
