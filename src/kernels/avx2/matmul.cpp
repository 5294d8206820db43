// Matrix products with AVX2. A tile is 8 rows (one vector, half a packed group) by T tokens. Codes of up to six bits
// are unsigned for vpmaddubsw, whose 16-bit sums cannot saturate within the runs used here (bounds beside each); wider
// ones are signed, by |w| * sign(w) x. Integer sums are exact, the float accumulation has the specified order: equal to
// ref.
#include <immintrin.h>

#include "kernels/avx2/avx2.h"
#include "kernels/kernels.h"
#include "kernels/shape.h"

namespace quern::avx2 {

namespace {

consteval int log2_of(int v) {
  return v <= 1 ? 0 : 1 + log2_of(v / 2);
}

inline __m256i load(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
template <int From, int To>
inline __m256i move_bit(__m256i v) {
  if constexpr (From < To) return _mm256_slli_epi16(v, To - From);
  if constexpr (From > To) return _mm256_srli_epi16(v, From - To);
  return v;
}
inline __m256i masked_or(__m256i a, __m256i b, int mask) {
  return _mm256_or_si256(a, _mm256_and_si256(b, _mm256_set1_epi8(static_cast<char>(mask))));
}

struct Codes {
  __m256i c[8];  // chunk i: 8 rows x 4 columns; unsigned codes, or signed levels where signed_codes
};

template <FormatShape S>
consteval bool signed_codes() {
  return S.bits == 8 || S.levels;
}

template <int I, int To>
inline void add_high_bit(Codes& k, __m256i high) {
  k.c[I] = masked_or(k.c[I], move_bit<I, To>(high), 1 << To);
  if constexpr (I < 7) add_high_bit<I + 1, To>(k, high);
}
template <int I>
inline void add_high6(Codes& k, __m256i h0, __m256i h1) {
  k.c[I] = masked_or(k.c[I], move_bit<2 * (I % 4), 4>(I < 4 ? h0 : h1), 0x30);
  if constexpr (I < 7) add_high6<I + 1>(k, h0, h1);
}

// p: the block plus 32 bytes for the second half of the rows.
template <FormatShape S>
inline Codes unpack(const std::byte* p, __m256i levels) {
  Codes k;
  if constexpr (S.bits == 8) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    for (int i = 0; i < 8; ++i) k.c[i] = _mm256_xor_si256(load(p + 64 * i), flip);
  } else if constexpr (S.bits >= 4) {
    const __m256i mask = _mm256_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m256i v = load(p + 64 * i);
      k.c[i] = _mm256_and_si256(v, mask);
      k.c[i + 4] = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
    }
    if constexpr (S.bits == 5) add_high_bit<0, 4>(k, load(p + 256));
    if constexpr (S.bits == 6) add_high6<0>(k, load(p + 256), load(p + 320));
    if constexpr (S.levels) {
      for (int i = 0; i < 8; ++i) k.c[i] = _mm256_shuffle_epi8(levels, k.c[i]);
    }
  } else {
    const __m256i mask = _mm256_set1_epi8(3);
    for (int h = 0; h < 2; ++h) {
      const __m256i v = load(p + 64 * h);
      k.c[4 * h] = _mm256_and_si256(v, mask);
      k.c[4 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(v, 2), mask);
      k.c[4 * h + 2] = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
      k.c[4 * h + 3] = _mm256_and_si256(_mm256_srli_epi16(v, 6), mask);
    }
    if constexpr (S.bits == 3) add_high_bit<0, 2>(k, load(p + 128));
  }
  return k;
}

inline __m256 load_f16(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline __m256i load_i8(const std::byte* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline __m256i load_u8(const std::byte* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
// (v, v) in the two 16-bit halves of each lane, for vpmaddwd.
inline __m256i twice16(__m256i v) {
  return _mm256_or_si256(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_slli_epi32(v, 16));
}
inline __m256i pair16(__m256i low, __m256i high) {
  return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(0xffff)), _mm256_slli_epi32(high, 16));
}

struct Scales {
  __m256 w, m;
  __m256i sub[2];    // integer sub-scales as 16-bit pairs
  __m256i sub_pair;  // (sub 0, sub 1) of each row
  __m256i min_pair;  // (min 0, min 1)
};

// half: 0 for rows 0..7 of the group, 1 for rows 8..15.
template <FormatShape S>
inline Scales load_scales(const std::byte* header, const std::byte* p, size_t half) {
  Scales s;
  if constexpr (S.e8m0) {
    const __m256i e = load_u8(p + 8 * half);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    s.w = _mm256_castsi256_ps(_mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1))));
  } else if constexpr (!S.has_scales) {
    s.w = load_f16(p + 16 * half);
    if constexpr (S.has_min) s.m = load_f16(p + 32 + 16 * half);
  } else {
    s.w = load_f16(header + 16 * half);
    if constexpr (S.has_min) s.m = load_f16(header + 32 + 16 * half);
    if constexpr (S.sub_block == 32) {
      s.w = _mm256_mul_ps(s.w, _mm256_cvtepi32_ps(load_i8(p + 8 * half)));
      if constexpr (S.has_min) s.m = _mm256_mul_ps(s.m, _mm256_cvtepi32_ps(load_u8(p + 16 + 8 * half)));
    } else {
      __m256i v[2];
      for (size_t h = 0; h < 2; ++h) {
        const std::byte* at = p + 16 * h + 8 * half;
        v[h] = S.has_min ? load_u8(at) : load_i8(at);
      }
      if constexpr (S.has_min) {
        s.min_pair = pair16(_mm256_srli_epi32(v[0], 4), _mm256_srli_epi32(v[1], 4));
        for (auto& x : v) x = _mm256_and_si256(x, _mm256_set1_epi32(15));
      }
      s.sub[0] = twice16(v[0]);
      s.sub[1] = twice16(v[1]);
      s.sub_pair = pair16(v[0], v[1]);
    }
  }
  return s;
}

inline int32_t scalar_i32(const std::byte* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}
inline __m256i broadcast_i32(const std::byte* p) {
  return _mm256_set1_epi32(scalar_i32(p));
}
inline __m256 broadcast_f32(const std::byte* p) {
  float v;
  __builtin_memcpy(&v, p, 4);
  return _mm256_set1_ps(v);
}

// Exact dot products of chunks [First, First + N) with the token's 4 * N bytes at q, as pairs of 16-bit sums.
// Largest magnitude: N * 2 * code * 127 <= 32767 by the choice of N.
template <int First, int N>
inline __m256i dot16(const Codes& k, const std::byte* q) {
  __m256i sum = _mm256_maddubs_epi16(k.c[First], broadcast_i32(q + 4 * First));
#pragma GCC unroll 8
  for (int c = First + 1; c < First + N; ++c) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(k.c[c], broadcast_i32(q + 4 * c)));
  }
  return sum;
}

// The dot product of a whole block in 32-bit lanes, formats with one scale per 32.
template <FormatShape S>
inline __m256i dot32(const Codes& k, const __m256i* magnitude, const std::byte* q) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (signed_codes<S>()) {
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) {  // 2 * 128 * 127 = 32512
      const __m256i x = _mm256_sign_epi8(broadcast_i32(q + 4 * c), k.c[c]);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude[c], x), ones));
    }
    return sum;
  } else if constexpr (S.bits <= 4) {
    return _mm256_madd_epi16(dot16<0, 8>(k, q), ones);  // 8 * 2 * 15 * 127 = 30480
  } else {                                              // 4 * 2 * 31 * 127 = 31496
    return _mm256_add_epi32(_mm256_madd_epi16(dot16<0, 4>(k, q), ones), _mm256_madd_epi16(dot16<4, 4>(k, q), ones));
  }
}

// scale 0 * (dot of the first half) + scale 1 * (dot of the second), formats with sub-blocks of 16.
template <FormatShape S>
inline __m256i dot_scaled(const Codes& k, const Scales& s, const std::byte* q) {
  if constexpr (S.bits <= 3) {
    return _mm256_add_epi32(_mm256_madd_epi16(dot16<0, 4>(k, q), s.sub[0]),
                            _mm256_madd_epi16(dot16<4, 4>(k, q), s.sub[1]));
  }
  // 2 * 2 * 63 * 127 = 32004
  const __m256i a =
      _mm256_add_epi32(_mm256_madd_epi16(dot16<0, 2>(k, q), s.sub[0]), _mm256_madd_epi16(dot16<2, 2>(k, q), s.sub[0]));
  const __m256i b =
      _mm256_add_epi32(_mm256_madd_epi16(dot16<4, 2>(k, q), s.sub[1]), _mm256_madd_epi16(dot16<6, 2>(k, q), s.sub[1]));
  return _mm256_add_epi32(a, b);
}

template <FormatShape S, int T>
inline void block(const Codes& k, const Scales& s, const std::byte* x, __m256* acc) {
  const std::byte* scale = x + 32 * T;
  const std::byte* noffset = scale + 4 * T;
  const std::byte* nsum = scale + 8 * T;
  const std::byte* nhalf = scale + 12 * T;
  __m256i magnitude[8];
  if constexpr (signed_codes<S>()) {
    for (int c = 0; c < 8; ++c) magnitude[c] = _mm256_abs_epi8(k.c[c]);
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
    const std::byte* q = x + 32 * t;
    const __m256 xd = broadcast_f32(scale + 4 * t);
    if constexpr (S.sub_block == 32) {
      __m256i i = dot32<S>(k, magnitude, q);
      if constexpr (!signed_codes<S>() && S.zero != 0) {
        i = _mm256_add_epi32(i, _mm256_slli_epi32(broadcast_i32(nsum + 4 * t), log2_of(S.zero)));
      }
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(i), _mm256_mul_ps(s.w, xd), acc[t]);
      if constexpr (S.has_min) acc[t] = _mm256_fmadd_ps(s.m, broadcast_f32(noffset + 4 * t), acc[t]);
    } else {
      __m256i i = dot_scaled<S>(k, s, q);
      // -(sums of the halves) as a 16-bit pair: |sum| <= 16 * 127
      const int32_t halves = (scalar_i32(nhalf + 4 * t) & 0xffff) |
                             static_cast<int32_t>(static_cast<uint32_t>(scalar_i32(nhalf + 4 * (T + t))) << 16);
      const __m256i n = _mm256_set1_epi32(halves);
      if constexpr (S.zero != 0) {
        i = _mm256_add_epi32(i, _mm256_slli_epi32(_mm256_madd_epi16(s.sub_pair, n), log2_of(S.zero)));
      }
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(i), _mm256_mul_ps(s.w, xd), acc[t]);
      if constexpr (S.has_min) {
        const __m256 m = _mm256_cvtepi32_ps(_mm256_madd_epi16(s.min_pair, n));
        acc[t] = _mm256_fmadd_ps(m, _mm256_mul_ps(s.m, xd), acc[t]);
      }
    }
  }
}

inline void store_row(float* y, __m256 v, size_t rows_left) {
  if (rows_left >= 8) {
    _mm256_storeu_ps(y, v);
  } else {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(y, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(rows_left)), lane), v);
  }
}

// Eight rows (half a group) against one panel of T tokens.
template <FormatShape S, int T>
void tile(const std::byte* w, size_t half, size_t blocks, const std::byte* x, __m256i levels, float* y, size_t y_stride,
          size_t rows_left) {
  __m256 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm256_setzero_ps();
  const std::byte* header = nullptr;
  for (size_t b = 0; b < blocks; ++b) {
    if constexpr (S.has_scales) {
      if (b % 8 == 0) {
        header = w;
        w += header_bytes(S);
      }
    }
    const Codes k = unpack<S>(w + 32 * half, levels);
    const Scales s = load_scales<S>(header, w + low_bytes(S) + high_bytes(S), half);
    block<S, T>(k, s, x, acc);
    w += block_bytes(S);
    x += T * kActBlockBytes;
  }
  for (int t = 0; t < T; ++t) store_row(y + static_cast<size_t>(t) * y_stride, acc[t], rows_left);
}

template <FormatShape S>
void panel(const std::byte* w, size_t half, size_t blocks, size_t n, const std::byte* x, __m256i levels, float* y,
           size_t y_stride, size_t rows_left) {
  switch (n) {
    case 16:
      return tile<S, 16>(w, half, blocks, x, levels, y, y_stride, rows_left);
    case 8:
      return tile<S, 8>(w, half, blocks, x, levels, y, y_stride, rows_left);
    case 4:
      return tile<S, 4>(w, half, blocks, x, levels, y, y_stride, rows_left);
    case 2:
      return tile<S, 2>(w, half, blocks, x, levels, y, y_stride, rows_left);
    default:
      return tile<S, 1>(w, half, blocks, x, levels, y, y_stride, rows_left);
  }
}

template <TensorType Type>
void matmul(const MatmulArgs& a) {
  constexpr FormatShape kShape = shape_of(Type);
  __m256i levels = _mm256_setzero_si256();
  if constexpr (kShape.levels) {
    levels = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(format_info(Type).levels)));
  }
  const size_t blocks = a.cols / kActBlock;
  const size_t group_bytes = (blocks * block_bytes(kShape) + blocks / 8 * header_bytes(kShape) + 63) / 64 * 64;
  const size_t token_bytes = activation_bytes(a.cols);
  for (size_t g = a.group_begin; g < a.group_end; ++g) {
    const std::byte* w = a.packed + g * group_bytes;
    for (size_t half = 0; half < 2; ++half) {
      const size_t row = g * kGroupRows + 8 * half;
      if (row >= a.rows) break;
      for (size_t t = 0; t < a.n_tokens;) {
        const size_t n = panel_tokens(a.n_tokens - t);
        panel<kShape>(w, half, blocks, n, a.x + t * token_bytes, levels, a.y + t * a.y_stride + row, a.y_stride,
                      a.rows - row);
        t += n;
      }
    }
  }
}

template <TensorType Type>
constexpr MatmulFn pick() {
  if constexpr (Type == TensorType::kF32 || Type == TensorType::kF16 || Type == TensorType::kBF16) {
    return nullptr;  // float_matmul.cpp
  } else {
    return matmul<Type>;
  }
}

}  // namespace

void fill_matmul(KernelTable& table) {
#define QUERN_FORMAT(enumerator, name, id)                          \
  if (constexpr MatmulFn fn = pick<TensorType::enumerator>()) {     \
    table.matmul[static_cast<size_t>(TensorType::enumerator)] = fn; \
  }
#include "quant/catalog.def"
#undef QUERN_FORMAT
}

}  // namespace quern::avx2
