#include "kernels/avx2/avx2.h"

namespace quern::avx2 {

void fill(KernelTable& table) {
  fill_elementwise(table);
  fill_attention(table);
  fill_peak(table);
  fill_matmul(table);
  fill_float_matmul(table);
}

}  // namespace quern::avx2
