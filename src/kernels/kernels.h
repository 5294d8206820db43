// The CPU kernels: their signatures, and the table that one instruction set fills.
//
// The scalar kernels of ref/ are the specification (docs/numerics.md): every other table returns the same bits for the
// same arguments. Kernels cannot fail, allocate nothing, start no threads and keep no state; any number of threads may
// call them on disjoint outputs. All matrices are row-major, rows x cols; one row of activations belongs to one token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/format.h"

namespace quern {

inline constexpr size_t kTensorTypeCount = 0
#define QUERN_FORMAT(enumerator, name, id) +1
#include "quant/catalog.def"
#undef QUERN_FORMAT
    ;
inline constexpr size_t kGroupRows = 16;      // output rows interleaved in one packed group
inline constexpr size_t kActBlock = 32;       // activations that share one scale
inline constexpr size_t kPagePositions = 64;  // positions in a KV page, and in a block of attention
inline constexpr size_t kSegmentPages = 4;    // pages in an attention segment; segments are merged in order

// Activations are quantized per block of 32 columns to q = round-to-nearest-even(x * (127 / amax)), or 0 where amax is
// at most 1e-36, with the scale amax / 127, and kept in panels of T tokens, T the largest of 16, 8, 4, 2, 1 that is
// left (panel_tokens). A panel begins at byte first_token * activation_bytes(cols) and holds, for each block in turn:
//   int8 q[T][32], float scale[T], float noffset[T] = scale * -(sum of q), int32 nsum[T] = -(sum of q),
//   int32 nhalf[2][T] = -(sums of q over each 16)
// so that every operand of a tile stands at a constant offset.
constexpr size_t kActBlockBytes = kActBlock + 5 * 4;  // per token
constexpr size_t activation_bytes(size_t cols) {
  return cols / kActBlock * kActBlockBytes;
}
constexpr size_t panel_tokens(size_t left) {
  return left >= 16 ? 16 : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// y[t][r] = sum over k of w[r][k] * x[t][k], for the packed groups [group_begin, group_end).
struct MatmulArgs {
  const std::byte* packed;  // the whole packed matrix (kernels/pack.h)
  size_t rows, cols;        // of the weight matrix
  size_t group_begin, group_end;
  const std::byte* x;  // integer formats read these panels,
  const float* x_f32;  // float formats this one: [n_tokens][cols]
  size_t n_tokens;
  float* y;  // [n_tokens][y_stride]; columns of rows beyond `rows` are not written
  size_t y_stride;
};
using MatmulFn = void (*)(const MatmulArgs&);

// One page of keys and values against `n_queries` query rows that share a KV head; updates the running softmax.
struct AttentionPageArgs {
  const float* q;          // [n_queries][head_dim], already scaled
  const uint16_t* keys;    // f16 [head_dim][64]: transposed, a lane is a position
  const uint16_t* values;  // f16 [64][head_dim]
  size_t head_dim, n_queries;
  const uint8_t* begin;  // [n_queries] first visible position in the page
  const uint8_t* end;    // [n_queries] one past the last; begin == end: nothing visible, state unchanged
  float* max;            // [n_queries] running maximum, -inf at first
  float* sum;            // [n_queries] running sum of exponentials
  float* out;            // [n_queries][head_dim] running weighted sum of values
  float* scratch;        // attention_scratch_floats(head_dim)
  // The page that the caller will pass next: kernels fetch it into the cache meanwhile. nullptr: not known.
  const uint16_t* next_keys = nullptr;
  const uint16_t* next_values = nullptr;
};
constexpr size_t attention_scratch_floats(size_t head_dim) {
  return 2 * head_dim * kPagePositions + 8 * kPagePositions;
}

struct KernelTable {
  const char* isa;
  // x: [n_tokens][cols], cols a multiple of 32; writes one panel, n_tokens = panel_tokens of something.
  void (*quantize_panel)(const float* x, size_t n_tokens, size_t cols, std::byte* panel);
  // What that quantization loses: out[i] = x[i] - scale * q, one fma; n a multiple of 32. Quantized in its turn it
  // doubles the precision of an operand (docs/numerics.md, fine products).
  void (*quantize_residual)(const float* x, size_t n, float* out);
  // out[r][i] = x[r][i] * (1 / sqrt(mean(x[r]^2) + eps)) * weight[i]; out may be x.
  void (*rms_norm)(const float* x, const float* weight, size_t n_rows, size_t cols, float eps, float* out);
  // Rotates the first 2 * half dimensions of each head in place. interleaved: pairs (2i, 2i+1), else (i, i + half).
  void (*rope)(float* x, size_t n_heads, size_t head_dim, size_t half, bool interleaved, const float* cos,
               const float* sin);
  void (*silu_mul)(const float* gate, const float* up, size_t n, float* out);
  void (*gelu_mul)(const float* gate, const float* up, size_t n, float* out);
  void (*add)(const float* a, const float* b, size_t n, float* out);
  void (*scale)(const float* a, float factor, size_t n, float* out);
  void (*to_f16)(const float* x, size_t n, uint16_t* out);
  void (*attention_page)(const AttentionPageArgs&);
  // Merges a later segment (max, sum, out) into the running state of n_queries rows.
  void (*attention_merge)(const AttentionPageArgs& segment, float* max, float* sum, float* out);
  std::array<MatmulFn, kTensorTypeCount> matmul;
  // For measuring what a core can do: a loop on registers alone of this ISA's dot product of bytes, or of its fused
  // multiply-add of floats. Returns the multiply-adds done, a fixed number for each iteration.
  double (*peak_int_macs)(size_t iterations);
  double (*peak_float_macs)(size_t iterations);
};

// What an instruction set is called, and whether this processor and system can run it.
struct IsaInfo {
  const char* name;
  bool supported;
  const KernelTable* table;  // with empty slots filled from the next lower ISA
};

// Every ISA that this build holds, best first; ref is the last and always supported.
std::span<const IsaInfo> isas();

// The table of the named ISA, or of the best supported one when `name` is empty. nullptr when the name is unknown or
// this processor lacks it (the caller words the error from isas()).
const KernelTable* select_kernels(const char* name);

}  // namespace quern
