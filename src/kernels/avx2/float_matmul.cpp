// Matrix products of float weights with AVX2: column k of eight rows is one vector, each (row, token) one chain of fma
// in order of k.
#include <immintrin.h>

#include "kernels/avx2/avx2.h"

namespace quern::avx2 {

namespace {

template <TensorType Type>
inline __m256 load_column(const std::byte* w, size_t k) {
  if constexpr (Type == TensorType::kF32) return _mm256_loadu_ps(reinterpret_cast<const float*>(w + k * 64));
  const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + k * 32));
  if constexpr (Type == TensorType::kF16) return _mm256_cvtph_ps(h);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

inline void store_row(float* y, __m256 v, size_t rows_left) {
  if (rows_left >= 8) {
    _mm256_storeu_ps(y, v);
  } else {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(y, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(rows_left)), lane), v);
  }
}

// G groups (two halves of 8 rows each) x T tokens.
template <TensorType Type, int G, int T>
void tile(const std::byte* w, size_t group_bytes, size_t cols, const float* x, float* y, size_t y_stride,
          size_t rows_left) {
  constexpr size_t kHalf = Type == TensorType::kF32 ? 32 : 16;
  __m256 acc[2 * G][T];
  for (auto& half : acc) {
    for (auto& v : half) v = _mm256_setzero_ps();
  }
  for (size_t k = 0; k < cols; ++k) {
    __m256 xv[T];
    for (int t = 0; t < T; ++t) xv[t] = _mm256_set1_ps(x[static_cast<size_t>(t) * cols + k]);
#pragma GCC unroll 8
    for (size_t h = 0; h < 2 * G; ++h) {
      const __m256 column = load_column<Type>(w + h / 2 * group_bytes + h % 2 * kHalf, k);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) acc[h][t] = _mm256_fmadd_ps(column, xv[t], acc[h][t]);
    }
  }
  for (size_t h = 0; h < 2 * G && 8 * h < rows_left; ++h) {
    for (size_t t = 0; t < T; ++t) store_row(y + t * y_stride + 8 * h, acc[h][t], rows_left - 8 * h);
  }
}

template <TensorType Type>
void matmul(const MatmulArgs& a) {
  const size_t element = Type == TensorType::kF32 ? 4 : 2;
  const size_t group_bytes = (a.cols * kGroupRows * element + 63) / 64 * 64;
  for (size_t g = a.group_begin; g < a.group_end;) {
    const std::byte* w = a.packed + g * group_bytes;
    const size_t rows_left = a.rows - g * kGroupRows;
    const bool many = a.group_end - g >= 4;
    for (size_t t = 0; t < a.n_tokens;) {
      const float* x = a.x_f32 + t * a.cols;
      float* y = a.y + t * a.y_stride + g * kGroupRows;
      const bool wide = a.n_tokens - t >= 4;
      if (many && !wide) {
        tile<Type, 4, 1>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
      } else {
        for (size_t i = 0; i < (many ? 4u : 1u); ++i) {
          const std::byte* wi = w + i * group_bytes;
          const size_t skip = i * kGroupRows;
          if (wide) {
            tile<Type, 1, 4>(wi, group_bytes, a.cols, x, y + skip, a.y_stride, rows_left - skip);
          } else {
            tile<Type, 1, 1>(wi, group_bytes, a.cols, x, y + skip, a.y_stride, rows_left - skip);
          }
        }
      }
      t += wide ? 4 : 1;
    }
    g += many ? 4 : 1;
  }
}

}  // namespace

void fill_float_matmul(KernelTable& table) {
  table.matmul[static_cast<size_t>(TensorType::kF32)] = matmul<TensorType::kF32>;
  table.matmul[static_cast<size_t>(TensorType::kF16)] = matmul<TensorType::kF16>;
  table.matmul[static_cast<size_t>(TensorType::kBF16)] = matmul<TensorType::kBF16>;
}

}  // namespace quern::avx2
