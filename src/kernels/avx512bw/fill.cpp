#include "kernels/avx512/avx512.h"

namespace quern::avx512 {

void fill_bw(KernelTable& table) {
  fill_elementwise(table);
  fill_attention(table);
  fill_matmul_bw(table);
}

}  // namespace quern::avx512
