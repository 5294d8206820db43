#include "kernels/neon/neon.h"

namespace quern::neon {

void fill(KernelTable& table) {
  fill_elementwise(table);
  fill_attention(table);
  fill_peak(table);
  fill_matmul(table);
  fill_float_matmul(table);
}

}  // namespace quern::neon
