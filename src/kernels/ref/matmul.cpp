// The scalar matrix products: the specification of every other ISA's (docs/numerics.md). Written to be read.
#include <cstring>

#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/ref/ref.h"

namespace quern::ref {

namespace {

constexpr size_t kLane = 64;

// Column k (0..31) of row r of a packed block of 32.
unsigned code_at(const FormatInfo& f, const uint8_t* low, const uint8_t* high, size_t r, size_t k) {
  const size_t c = k / 4;
  const size_t byte = 4 * r + k % 4;
  if (f.bits == 8) return low[c * kLane + byte];
  if (f.bits >= 4) {
    unsigned v = (low[(c % 4) * kLane + byte] >> (c < 4 ? 0 : 4)) & 15u;
    if (f.bits == 5) v |= ((high[byte] >> c) & 1u) << 4;
    if (f.bits == 6) v |= ((high[(c / 4) * kLane + byte] >> (2 * (c % 4))) & 3u) << 4;
    return v;
  }
  unsigned v = (low[(c / 4) * kLane + byte] >> (2 * (c % 4))) & 3u;
  if (f.bits == 3) v |= ((high[byte] >> c) & 1u) << 2;
  return v;
}

float load_f16(const std::byte* p, size_t i) {
  uint16_t h;
  std::memcpy(&h, p + 2 * i, 2);
  return f16_to_f32(h);
}

// One token's share of a panel's block.
struct Activation {
  const int8_t* q;
  float scale, noffset;
  int32_t nhalf[2];
};

template <class T>
T field(const std::byte* fields, size_t i) {
  T v;
  std::memcpy(&v, fields + i * sizeof(T), sizeof(T));
  return v;
}

Activation activation(const MatmulArgs& a, size_t token, size_t block) {
  size_t first = 0, n = panel_tokens(a.n_tokens);
  while (token >= first + n) {
    first += n;
    n = panel_tokens(a.n_tokens - first);
  }
  const size_t t = token - first;
  const std::byte* p = a.x + first * activation_bytes(a.cols) + block * n * kActBlockBytes;
  const std::byte* f = p + n * kActBlock;
  return {.q = reinterpret_cast<const int8_t*>(p) + t * kActBlock,
          .scale = field<float>(f, t),
          .noffset = field<float>(f, n + t),
          .nhalf = {field<int32_t>(f, 3 * n + t), field<int32_t>(f, 4 * n + t)}};
}

// One block of 32 columns for row r and one token: the value of `acc` after it.
float accumulate_block(const FormatInfo& f, const PackedLayout& p, const std::byte* header, const std::byte* block,
                       size_t r, const Activation& x, float acc) {
  const auto* low = reinterpret_cast<const uint8_t*>(block);
  const uint8_t* high = low + p.low_bytes;
  const auto* scales = reinterpret_cast<const uint8_t*>(block + p.low_bytes + p.high_bytes);
  int32_t dot[2] = {0, 0};  // of the two half blocks; exact
  for (size_t k = 0; k < kActBlock; ++k) {
    dot[k / 16] += f.level(static_cast<uint8_t>(code_at(f, low, high, r, k))) * x.q[k];
  }

  if (!f.has_scales) {
    const auto* s = reinterpret_cast<const std::byte*>(scales);
    const float d = f.type == TensorType::kMXFP4 ? mxfp4_scale(scales[r]) : load_f16(s, r);
    acc = __builtin_fmaf(static_cast<float>(dot[0] + dot[1]), d * x.scale, acc);
    return f.has_min ? __builtin_fmaf(load_f16(s + 2 * kGroupRows, r), x.noffset, acc) : acc;
  }
  const float d = load_f16(header, r);
  const float m = f.has_min ? load_f16(header + 2 * kGroupRows, r) : 0.0f;
  if (f.sub_block == 32) {
    const float w = d * static_cast<float>(static_cast<int8_t>(scales[r]));
    acc = __builtin_fmaf(static_cast<float>(dot[0] + dot[1]), w * x.scale, acc);
    return f.has_min ? __builtin_fmaf(m * static_cast<float>(scales[kGroupRows + r]), x.noffset, acc) : acc;
  }
  if (!f.has_min) {
    const int32_t i = static_cast<int8_t>(scales[r]) * dot[0] + static_cast<int8_t>(scales[kGroupRows + r]) * dot[1];
    return __builtin_fmaf(static_cast<float>(i), d * x.scale, acc);
  }
  const int32_t s0 = scales[r], s1 = scales[kGroupRows + r];
  acc = __builtin_fmaf(static_cast<float>((s0 & 15) * dot[0] + (s1 & 15) * dot[1]), d * x.scale, acc);
  return __builtin_fmaf(static_cast<float>((s0 >> 4) * x.nhalf[0] + (s1 >> 4) * x.nhalf[1]), m * x.scale, acc);
}

void matmul_integer(const FormatInfo& f, const MatmulArgs& a) {
  const PackedLayout p = *packed_layout(f, a.rows, a.cols);
  const size_t block_bytes = p.low_bytes + p.high_bytes + p.scale_bytes;
  const size_t per_run = f.block_elems / kActBlock;
  const size_t run_bytes = p.header_bytes + per_run * block_bytes;
  for (size_t g = a.group_begin; g < a.group_end; ++g) {
    const std::byte* group = a.packed + g * p.group_bytes;
    for (size_t r = 0; r < kGroupRows && g * kGroupRows + r < a.rows; ++r) {
      for (size_t t = 0; t < a.n_tokens; ++t) {
        float acc = 0.0f;
        for (size_t b = 0; b < a.cols / kActBlock; ++b) {
          const std::byte* run = group + b / per_run * run_bytes;
          const std::byte* block = run + p.header_bytes + b % per_run * block_bytes;
          acc = accumulate_block(f, p, run, block, r, activation(a, t, b), acc);
        }
        a.y[t * a.y_stride + g * kGroupRows + r] = acc;
      }
    }
  }
}

float load_float(const FormatInfo& f, const std::byte* p, size_t i) {
  if (f.block_bytes == 4) {
    float v;
    std::memcpy(&v, p + 4 * i, 4);
    return v;
  }
  uint16_t h;
  std::memcpy(&h, p + 2 * i, 2);
  return f.type == TensorType::kF16 ? f16_to_f32(h) : bf16_to_f32(h);
}

void matmul_float(const FormatInfo& f, const MatmulArgs& a) {
  const PackedLayout p = *packed_layout(f, a.rows, a.cols);
  for (size_t g = a.group_begin; g < a.group_end; ++g) {
    const std::byte* group = a.packed + g * p.group_bytes;
    for (size_t r = 0; r < kGroupRows && g * kGroupRows + r < a.rows; ++r) {
      for (size_t t = 0; t < a.n_tokens; ++t) {
        float acc = 0.0f;
        for (size_t k = 0; k < a.cols; ++k) {
          acc = __builtin_fmaf(load_float(f, group, k * kGroupRows + r), a.x_f32[t * a.cols + k], acc);
        }
        a.y[t * a.y_stride + g * kGroupRows + r] = acc;
      }
    }
  }
}

template <TensorType T>
void matmul(const MatmulArgs& a) {
  const FormatInfo& f = format_info(T);
  f.is_float ? matmul_float(f, a) : matmul_integer(f, a);
}

template <size_t... I>
constexpr std::array<MatmulFn, sizeof...(I)> all(std::index_sequence<I...>) {
  return {matmul<static_cast<TensorType>(I)>...};
}

}  // namespace

std::array<MatmulFn, kTensorTypeCount> matmul_table() {
  return all(std::make_index_sequence<kTensorTypeCount>{});
}

}  // namespace quern::ref
