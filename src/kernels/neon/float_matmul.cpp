// Matrix products of float weights with NEON: column k of four rows is one vector, each (row, token) one chain of fma
// in order of k.
#include <arm_neon.h>

#include "kernels/neon/neon.h"

namespace quern::neon {

namespace {

// One column of a group: four vectors of four rows.
template <TensorType Type>
inline void load_column(const std::byte* w, float32x4_t* column) {
  for (size_t i = 0; i < 2; ++i) {
    if constexpr (Type == TensorType::kF32) {
      const auto* p = reinterpret_cast<const uint8_t*>(w + 32 * i);
      column[2 * i] = vreinterpretq_f32_u8(vld1q_u8(p));
      column[2 * i + 1] = vreinterpretq_f32_u8(vld1q_u8(p + 16));
    } else {
      const uint16x8_t h = vreinterpretq_u16_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(w + 16 * i)));
      if constexpr (Type == TensorType::kF16) {
        column[2 * i] = vcvt_f32_f16(vget_low_f16(vreinterpretq_f16_u16(h)));
        column[2 * i + 1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(h));
      } else {
        column[2 * i] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16));
        column[2 * i + 1] = vreinterpretq_f32_u32(vshll_high_n_u16(h, 16));
      }
    }
  }
}

inline void store_row(float* y, float32x4_t v, size_t rows_left) {
  if (rows_left >= 4) return vst1q_f32(y, v);
  float lanes[4];
  vst1q_f32(lanes, v);
  for (size_t r = 0; r < rows_left; ++r) y[r] = lanes[r];
}

// acc[4 * g + i][t] += column i of group g * lane J of x[t].
template <TensorType Type, size_t G, size_t T, int J>
inline void add_column(const std::byte* w, size_t group_bytes, const float32x4_t* x, float32x4_t (*acc)[T]) {
#pragma GCC unroll 4
  for (size_t g = 0; g < G; ++g) {
    float32x4_t column[4];
    load_column<Type>(w + g * group_bytes, column);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
#pragma GCC unroll 4
      for (size_t t = 0; t < T; ++t) acc[4 * g + i][t] = vfmaq_laneq_f32(acc[4 * g + i][t], column[i], x[t], J);
    }
  }
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
  size_t k = 0;
  for (; k + 4 <= cols; k += 4, w += 4 * kGroupRows * kElement) {
    float32x4_t four[T];  // elements of a token: one load, multiplied by lane
    for (size_t t = 0; t < T; ++t) four[t] = vld1q_f32(x + t * cols + k);
    add_column<Type, G, T, 0>(w, group_bytes, four, acc);
    add_column<Type, G, T, 1>(w + kGroupRows * kElement, group_bytes, four, acc);
    add_column<Type, G, T, 2>(w + 2 * kGroupRows * kElement, group_bytes, four, acc);
    add_column<Type, G, T, 3>(w + 3 * kGroupRows * kElement, group_bytes, four, acc);
  }
  for (; k < cols; ++k, w += kGroupRows * kElement) {
    float32x4_t one[T];
    for (size_t t = 0; t < T; ++t) one[t] = vdupq_n_f32(x[t * cols + k]);
    add_column<Type, G, T, 0>(w, group_bytes, one, acc);
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
