// Matrix products with AVX-512 VNNI. A tile is 16 rows (one vector) by T tokens: a block's codes are unpacked once into
// eight registers, then each token costs eight dot products of four (vpdpbusd with a broadcast memory operand), one
// conversion, one multiply and one fused multiply-add. Equal to ref bit for bit: integer sums are exact and the float
// accumulation runs in the specified order.
//
// Codes stay unsigned, as vpdpbusd wants its first operand; the zero point is taken off by starting the sum at
// -zero * sum(q), which the activation panel holds.
#include <immintrin.h>

#include "kernels/avx512/avx512.h"
#include "kernels/kernels.h"
#include "kernels/shape.h"

namespace quern::avx512 {

namespace {

// The levels of table formats are shifted by 128 to be unsigned.
constexpr int kLevelShift = 128;

template <FormatShape S>
consteval int zero_of() {
  return S.levels ? kLevelShift : S.zero;
}

consteval int log2_of(int v) {
  return v <= 1 ? 0 : 1 + log2_of(v / 2);
}

inline __m512i load(const std::byte* p) {
  return _mm512_loadu_si512(p);
}
inline __m512i masked_or(__m512i a, __m512i b, int mask) {  // a | (b & mask)
  return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8(static_cast<char>(mask)), 0xF8);
}
// v shifted so that bit `from` of each byte arrives at bit `to` (neighbouring bits come along; mask after).
template <int From, int To>
inline __m512i move_bit(__m512i v) {
  if constexpr (From < To) return _mm512_slli_epi16(v, To - From);
  if constexpr (From > To) return _mm512_srli_epi16(v, From - To);
  return v;
}

struct Codes {
  __m512i c[8];  // chunk i: 16 rows x 4 columns of unsigned bytes
};

template <int I>
inline void add_high5(Codes& k, __m512i high) {
  k.c[I] = masked_or(k.c[I], move_bit<I, 4>(high), 0x10);
  if constexpr (I < 7) add_high5<I + 1>(k, high);
}
template <int I>
inline void add_high3(Codes& k, __m512i high) {
  k.c[I] = masked_or(k.c[I], move_bit<I, 2>(high), 0x04);
  if constexpr (I < 7) add_high3<I + 1>(k, high);
}
template <int I>
inline void add_high6(Codes& k, __m512i h0, __m512i h1) {
  k.c[I] = masked_or(k.c[I], move_bit<2 * (I % 4), 4>(I < 4 ? h0 : h1), 0x30);
  if constexpr (I < 7) add_high6<I + 1>(k, h0, h1);
}

template <FormatShape S>
inline Codes unpack(const std::byte* p, __m512i levels) {
  Codes k;
  if constexpr (S.bits == 8) {
    for (int i = 0; i < 8; ++i) k.c[i] = load(p + 64 * i);
    return k;
  }
  if constexpr (S.bits >= 4 && S.bits < 8) {
    const __m512i mask = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m512i v = load(p + 64 * i);
      k.c[i] = _mm512_and_si512(v, mask);
      k.c[i + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
    }
    if constexpr (S.bits == 5) add_high5<0>(k, load(p + 256));
    if constexpr (S.bits == 6) add_high6<0>(k, load(p + 256), load(p + 320));
    if constexpr (S.levels) {
      for (int i = 0; i < 8; ++i) k.c[i] = _mm512_shuffle_epi8(levels, k.c[i]);
    }
  }
  if constexpr (S.bits < 4) {
    const __m512i mask = _mm512_set1_epi8(3);
    for (int h = 0; h < 2; ++h) {
      const __m512i v = load(p + 64 * h);
      k.c[4 * h] = _mm512_and_si512(v, mask);
      k.c[4 * h + 1] = _mm512_and_si512(_mm512_srli_epi16(v, 2), mask);
      k.c[4 * h + 2] = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
      k.c[4 * h + 3] = _mm512_and_si512(_mm512_srli_epi16(v, 6), mask);
    }
    if constexpr (S.bits == 3) add_high3<0>(k, load(p + 128));
  }
  return k;
}

inline __m512 load_f16(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline __m512i load_i8(const std::byte* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline __m512i load_u8(const std::byte* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The multipliers of one block, a lane per row.
struct Scales {
  __m512 w;        // float scale of the block, or d of the run where sub-blocks are integer
  __m512 m;        // minimum, or m of the run
  __m512i sub[2];  // integer sub-scales of the halves
  __m512i min[2];  // integer sub-minimums of the halves
};

template <FormatShape S>
inline Scales load_scales(const std::byte* header, const std::byte* p) {
  Scales s;
  if constexpr (S.e8m0) {
    const __m512i e = load_u8(p);
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    const __mmask16 is_normal = _mm512_cmpge_epi32_mask(e, _mm512_set1_epi32(2));
    s.w = _mm512_castsi512_ps(_mm512_mask_mov_epi32(subnormal, is_normal, normal));
  } else if constexpr (!S.has_scales) {
    s.w = load_f16(p);
    if constexpr (S.has_min) s.m = load_f16(p + 32);
  } else {
    s.w = load_f16(header);
    if constexpr (S.has_min) s.m = load_f16(header + 32);
    if constexpr (S.sub_block == 32) {
      s.w = _mm512_mul_ps(s.w, _mm512_cvtepi32_ps(load_i8(p)));
      if constexpr (S.has_min) s.m = _mm512_mul_ps(s.m, _mm512_cvtepi32_ps(load_u8(p + 16)));
    } else if constexpr (S.has_min) {
      for (int h = 0; h < 2; ++h) {
        const __m512i v = load_u8(p + 16 * h);
        s.sub[h] = _mm512_and_si512(v, _mm512_set1_epi32(15));
        s.min[h] = _mm512_srli_epi32(v, 4);
      }
    } else {
      s.sub[0] = load_i8(p);
      s.sub[1] = load_i8(p + 16);
    }
  }
  return s;
}

inline __m512i broadcast_i32(const std::byte* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
inline __m512 broadcast_f32(const std::byte* p) {
  float v;
  __builtin_memcpy(&v, p, 4);
  return _mm512_set1_ps(v);
}

// sum + the dot products of four unsigned codes with four activations, exact. Bits: of a code.
template <int Bits>
inline __m512i dot4(__m512i sum, __m512i codes, __m512i x) {
#ifndef QUERN_NO_VNNI
  return _mm512_dpbusd_epi32(sum, codes, x);
#else
  const __m512i ones = _mm512_set1_epi16(1);
  if constexpr (Bits == 8) {  // 2 * 128 * 127 = 32512 fits 16 bits, 2 * 255 * 127 would saturate: the top bit apart
    const __m512i top = _mm512_set1_epi8(static_cast<char>(0x80));
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_and_si512(codes, top), x), ones));
    codes = _mm512_andnot_si512(top, codes);
  }
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(codes, x), ones));
#endif
}

// Tokens t .. t + N - 1 of one block of 32 columns against a panel's block `x` of T tokens. The N chains of dot
// products are interleaved: one alone waits for the latency of vpdpbusd, and the scheduler's window does not reach the
// next token.
template <FormatShape S, int T, int N>
inline void tokens(const Codes& k, const Scales& s, const std::byte* x, int t, __m512* acc) {
  constexpr int kZero = zero_of<S>();
  constexpr int kBits = S.levels ? 8 : S.bits;
  const std::byte* q = x + 32 * t;
  const std::byte* scale = x + 32 * T + 4 * t;
  const std::byte* noffset = scale + 4 * T;
  const std::byte* nsum = scale + 8 * T;
  const std::byte* nhalf = scale + 12 * T;
  if constexpr (S.sub_block == 32) {
    __m512i i[N];
    for (int n = 0; n < N; ++n) {
      i[n] = kZero != 0 ? _mm512_slli_epi32(broadcast_i32(nsum + 4 * n), log2_of(kZero)) : _mm512_setzero_si512();
    }
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) {
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) i[n] = dot4<kBits>(i[n], k.c[c], broadcast_i32(q + 32 * n + 4 * c));
    }
    for (int n = 0; n < N; ++n) {
      const __m512 w = _mm512_mul_ps(s.w, broadcast_f32(scale + 4 * n));
      acc[t + n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(i[n]), w, acc[t + n]);
      if constexpr (S.has_min) acc[t + n] = _mm512_fmadd_ps(s.m, broadcast_f32(noffset + 4 * n), acc[t + n]);
    }
    return;
  }
  for (int n = 0; n < N; ++n) {
    const __m512i n0 = broadcast_i32(nhalf + 4 * n), n1 = broadcast_i32(nhalf + 4 * (T + n));
    __m512i i0 = kZero != 0 ? _mm512_slli_epi32(n0, log2_of(kZero)) : _mm512_setzero_si512();
    __m512i i1 = kZero != 0 ? _mm512_slli_epi32(n1, log2_of(kZero)) : _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      i0 = dot4<kBits>(i0, k.c[c], broadcast_i32(q + 32 * n + 4 * c));
      i1 = dot4<kBits>(i1, k.c[c + 4], broadcast_i32(q + 32 * n + 4 * c + 16));
    }
    const __m512 xd = broadcast_f32(scale + 4 * n);
    const __m512i sum = _mm512_add_epi32(_mm512_mullo_epi32(i0, s.sub[0]), _mm512_mullo_epi32(i1, s.sub[1]));
    acc[t + n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(s.w, xd), acc[t + n]);
    if constexpr (S.has_min) {
      const __m512i m = _mm512_add_epi32(_mm512_mullo_epi32(s.min[0], n0), _mm512_mullo_epi32(s.min[1], n1));
      acc[t + n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(m), _mm512_mul_ps(s.m, xd), acc[t + n]);
    }
  }
}

template <FormatShape S, int T>
inline void block(const Codes& k, const Scales& s, const std::byte* x, __m512* acc) {
  constexpr int kStep = T >= 2 ? 2 : 1;
#pragma GCC unroll 8
  for (int t = 0; t < T; t += kStep) tokens<S, T, kStep>(k, s, x, t, acc);
}

// Rows beyond the matrix are computed (they are zero rows) but not written.
inline void store_row(float* y, __m512 v, size_t rows_left) {
  if (rows_left >= 16) {
    _mm512_storeu_ps(y, v);
  } else {
    _mm512_mask_storeu_ps(y, static_cast<__mmask16>((1u << rows_left) - 1u), v);
  }
}

// One group of 16 rows against one panel of T tokens.
template <FormatShape S, int T>
void tile(const std::byte* w, size_t blocks, const std::byte* x, __m512i levels, float* y, size_t y_stride,
          size_t rows_left) {
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_setzero_ps();
  const std::byte* header = nullptr;
  for (size_t b = 0; b < blocks; ++b) {
    if constexpr (S.has_scales) {
      if (b % 8 == 0) {
        header = w;
        w += header_bytes(S);
      }
    }
    const Codes k = unpack<S>(w, levels);
    const Scales s = load_scales<S>(header, w + low_bytes(S) + high_bytes(S));
    block<S, T>(k, s, x, acc);
    w += block_bytes(S);
    x += T * kActBlockBytes;
  }
  for (int t = 0; t < T; ++t) store_row(y + static_cast<size_t>(t) * y_stride, acc[t], rows_left);
}

template <TensorType Type>
void matmul(const MatmulArgs& a) {
  constexpr FormatShape kShape = shape_of(Type);
  __m512i levels = _mm512_setzero_si512();
  if constexpr (kShape.levels) {
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(format_info(Type).levels));
    levels = _mm512_xor_si512(_mm512_broadcast_i32x4(table), _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  const size_t blocks = a.cols / kActBlock;
  constexpr size_t kHeaderPerRun = header_bytes(kShape);
  const size_t group_bytes = ((blocks * block_bytes(kShape) + blocks / 8 * kHeaderPerRun) + 63) / 64 * 64;
  const size_t token_bytes = activation_bytes(a.cols);
  for (size_t g = a.group_begin; g < a.group_end; ++g) {
    const std::byte* w = a.packed + g * group_bytes;
    const size_t rows_left = a.rows - g * kGroupRows;
    for (size_t t = 0; t < a.n_tokens;) {
      const size_t n = panel_tokens(a.n_tokens - t);
      const std::byte* x = a.x + t * token_bytes;
      float* y = a.y + t * a.y_stride + g * kGroupRows;
      switch (n) {
        case 16:
          tile<kShape, 16>(w, blocks, x, levels, y, a.y_stride, rows_left);
          break;
        case 8:
          tile<kShape, 8>(w, blocks, x, levels, y, a.y_stride, rows_left);
          break;
        case 4:
          tile<kShape, 4>(w, blocks, x, levels, y, a.y_stride, rows_left);
          break;
        case 2:
          tile<kShape, 2>(w, blocks, x, levels, y, a.y_stride, rows_left);
          break;
        default:
          tile<kShape, 1>(w, blocks, x, levels, y, a.y_stride, rows_left);
          break;
      }
      t += n;
    }
  }
}

// Float weights: column k of the 16 rows is one vector.
template <TensorType Type>
inline __m512 load_column(const std::byte* w, size_t k) {
  if constexpr (Type == TensorType::kF32) return _mm512_loadu_ps(w + k * 64);
  const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + k * 32));
  if constexpr (Type == TensorType::kF16) return _mm512_cvtph_ps(h);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

// G groups x T tokens: enough independent chains to hide the latency of fma, which each (row, token) runs in order of
// k.
template <TensorType Type, int G, int T>
void float_tile(const std::byte* w, size_t group_bytes, size_t cols, const float* x, float* y, size_t y_stride,
                size_t rows_left) {
  __m512 acc[G][T];
  for (auto& group : acc) {
    for (auto& v : group) v = _mm512_setzero_ps();
  }
  for (size_t k = 0; k < cols; ++k) {
    __m512 xv[T];
    for (int t = 0; t < T; ++t) xv[t] = _mm512_set1_ps(x[static_cast<size_t>(t) * cols + k]);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      const __m512 column = load_column<Type>(w + static_cast<size_t>(g) * group_bytes, k);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) acc[g][t] = _mm512_fmadd_ps(column, xv[t], acc[g][t]);
    }
  }
  for (size_t g = 0; g < G; ++g) {
    for (size_t t = 0; t < T; ++t) store_row(y + t * y_stride + g * kGroupRows, acc[g][t], rows_left - g * kGroupRows);
  }
}

template <TensorType Type>
void matmul_float(const MatmulArgs& a) {
  const size_t element = Type == TensorType::kF32 ? 4 : 2;
  const size_t group_bytes = (a.cols * kGroupRows * element + 63) / 64 * 64;
  for (size_t g = a.group_begin; g < a.group_end;) {
    const std::byte* w = a.packed + g * group_bytes;
    const size_t rows_left = a.rows - g * kGroupRows;
    const size_t groups = a.group_end - g >= 4 ? 4 : 1;
    for (size_t t = 0; t < a.n_tokens;) {
      const float* x = a.x_f32 + t * a.cols;
      float* y = a.y + t * a.y_stride + g * kGroupRows;
      const bool wide = a.n_tokens - t >= 4;
      if (groups == 4 && wide) float_tile<Type, 4, 4>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
      if (groups == 4 && !wide) float_tile<Type, 4, 1>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
      if (groups == 1 && wide) float_tile<Type, 1, 4>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
      if (groups == 1 && !wide) float_tile<Type, 1, 1>(w, group_bytes, a.cols, x, y, a.y_stride, rows_left);
      t += wide ? 4 : 1;
    }
    g += groups;
  }
}

template <TensorType Type>
constexpr MatmulFn pick() {
  if constexpr (Type == TensorType::kF32 || Type == TensorType::kF16 || Type == TensorType::kBF16) {
    return matmul_float<Type>;
  } else {
    return matmul<Type>;
  }
}

}  // namespace

#ifndef QUERN_NO_VNNI
void fill_matmul(KernelTable& table) {
#else
void fill_matmul_bw(KernelTable& table) {
#endif
#define QUERN_FORMAT(enumerator, name, id) \
  table.matmul[static_cast<size_t>(TensorType::enumerator)] = pick<TensorType::enumerator>();
#include "quant/catalog.def"
#undef QUERN_FORMAT
}

}  // namespace quern::avx512
