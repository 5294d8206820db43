// Matrix products of float weights with NEON: column k of four rows is one vector, each (row, token) one chain of fma
// in order of k.
#include <arm_neon.h>

#include "kernels/neon/neon.h"

namespace quern::neon {

namespace {

template <TensorType Type>
inline float32x4_t load_column(const std::byte* w) {
  if constexpr (Type == TensorType::kF32) return vreinterpretq_f32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(w)));
  const uint16x4_t h = vreinterpret_u16_u8(vld1_u8(reinterpret_cast<const uint8_t*>(w)));
  if constexpr (Type == TensorType::kF16) return vcvt_f32_f16(vreinterpret_f16_u16(h));
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(h), 16));
}

inline void store_row(float* y, float32x4_t v, size_t rows_left) {
  if (rows_left >= 4) return vst1q_f32(y, v);
  float lanes[4];
  vst1q_f32(lanes, v);
  for (size_t r = 0; r < rows_left; ++r) y[r] = lanes[r];
}

// G groups x T tokens: sixteen accumulators, enough independent chains to hide the latency of fma.
template <TensorType Type, size_t G, size_t T>
void tile(const std::byte* w, size_t group_bytes, size_t cols, const float* x, float* y, size_t y_stride,
          size_t rows_left) {
  constexpr size_t kElement = Type == TensorType::kF32 ? 4 : 2;
  float32x4_t acc[4 * G][T];
  for (auto& quarter : acc) {
    for (auto& v : quarter) v = vdupq_n_f32(0.0f);
  }
  for (size_t k = 0; k < cols; ++k, w += kGroupRows * kElement) {
    float xk[T];
    for (size_t t = 0; t < T; ++t) xk[t] = x[t * cols + k];
#pragma GCC unroll 16
    for (size_t i = 0; i < 4 * G; ++i) {
      const float32x4_t column = load_column<Type>(w + i / 4 * group_bytes + i % 4 * 4 * kElement);
#pragma GCC unroll 4
      for (size_t t = 0; t < T; ++t) acc[i][t] = vfmaq_n_f32(acc[i][t], column, xk[t]);
    }
  }
  for (size_t i = 0; i < 4 * G && 4 * i < rows_left; ++i) {
    for (size_t t = 0; t < T; ++t) store_row(y + t * y_stride + 4 * i, acc[i][t], rows_left - 4 * i);
  }
}

template <TensorType Type>
void matmul(const MatmulArgs& a) {
  const size_t element = Type == TensorType::kF32 ? 4 : 2;
  const size_t group_bytes = (a.cols * kGroupRows * element + 63) / 64 * 64;
  for (size_t g = a.group_begin; g < a.group_end;) {
    const size_t groups = a.group_end - g >= 4 ? 4 : 1;
    for (size_t t = 0; t < a.n_tokens;) {
      const float* x = a.x_f32 + t * a.cols;
      const bool wide = a.n_tokens - t >= 4;
      for (size_t i = 0; i < (wide ? groups : 1); ++i) {
        const std::byte* w = a.packed + (g + i) * group_bytes;
        float* y = a.y + t * a.y_stride + (g + i) * kGroupRows;
        const size_t rows_left = a.rows - (g + i) * kGroupRows;
        if (wide) {
          tile<Type, 1, 4>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
        } else if (groups == 4) {
          tile<Type, 4, 1>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
        } else {
          tile<Type, 1, 1>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
        }
      }
      t += wide ? 4 : 1;
    }
    g += groups;
  }
}

}  // namespace

void fill_float_matmul(KernelTable& table) {
  table.matmul[static_cast<size_t>(TensorType::kF32)] = matmul<TensorType::kF32>;
  table.matmul[static_cast<size_t>(TensorType::kF16)] = matmul<TensorType::kF16>;
  table.matmul[static_cast<size_t>(TensorType::kBF16)] = matmul<TensorType::kBF16>;
}

}  // namespace quern::neon
