#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/ref/ref.h"

namespace quern::ref {

namespace {

// clang-format off
#include "kernels/generic/scalar.inc"
#include "kernels/generic/elementwise.inc"
// clang-format on

void to_f16(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = f32_to_f16(clamp_f16(x[i]));
}

void attention_page(const AttentionPageArgs& a) {
  for (size_t i = 0; i < a.n_queries; ++i) {
    if (a.begin[i] >= a.end[i]) continue;
    const float* q = a.q + i * a.head_dim;
    float* s = a.scratch;
    for (size_t p = 0; p < kPagePositions; ++p) {
      float dot = 0.0f;
      for (size_t d = 0; d < a.head_dim; ++d) dot = fma1(q[d], f16_to_f32(a.keys[d * kPagePositions + p]), dot);
      s[p] = dot;
    }
    const float alpha = softmax_step(s, a.begin[i], a.end[i], a.max + i, a.sum + i);
    float* out = a.out + i * a.head_dim;
    for (size_t d = 0; d < a.head_dim; ++d) out[d] = out[d] * alpha;
    for (size_t p = a.begin[i]; p < a.end[i]; ++p) {
      for (size_t d = 0; d < a.head_dim; ++d) {
        out[d] = fma1(s[p], f16_to_f32(a.values[p * a.head_dim + d]), out[d]);
      }
    }
  }
}

}  // namespace

const KernelTable& table() {
  static const KernelTable kTable = {
      .isa = "ref",
      .quantize_panel = quantize_panel,
      .quantize_residual = quantize_residual,
      .rms_norm = rms_norm,
      .rope = rope,
      .silu_mul = silu_mul,
      .gelu_mul = gelu_mul,
      .add = add,
      .scale = scale,
      .to_f16 = to_f16,
      .attention_page = attention_page,
      .attention_merge = attention_merge,
      .matmul = matmul_table(),
      .peak_int_macs = peak_int_macs,
      .peak_float_macs = peak_float_macs,
  };
  return kTable;
}

}  // namespace quern::ref
