#include "kernels/avx512/avx512.h"

namespace quern::avx512 {

void fill(KernelTable& table) {
  fill_elementwise(table);
  fill_attention(table);
  fill_peak(table);
  fill_matmul(table);
}

}  // namespace quern::avx512
