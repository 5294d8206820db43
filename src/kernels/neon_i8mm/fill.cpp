#include "kernels/neon/neon.h"

namespace quern::neon {

void fill_i8mm(KernelTable& table) {
  fill_i8mm_matmul(table);
  fill_i8mm_peak(table);
}

}  // namespace quern::neon
