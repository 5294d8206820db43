// The catalogue of tensor formats: how a row of weights lies in memory, and its exact meaning.
//
// Everything here is pure and may be called from any thread. Blocks need no alignment. A caller checks lengths first
// (row_bytes); the functions themselves cannot fail. Layouts are written down in docs/formats.md; decode is bit for bit
// that of the PyPI package gguf 0.19. Adding a format: formats/<name>.cpp and a row in catalog.def.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace quern {

enum class TensorType : uint8_t {
#define QUERN_FORMAT(enumerator, name, id) enumerator,
#include "quant/catalog.def"
#undef QUERN_FORMAT
};

inline constexpr size_t kMaxBlockElems = 256;

// One block taken apart into integers, so that a kernel can repack any format without knowing it. With s = i /
// sub_block:
//
//   value[i] = (d * scale[s]) * level(code[i])                       without has_min
//   value[i] = (d * scale[s]) * level(code[i]) - (m * min[s])        with has_min
//   level(c) = levels ? levels[c] : c - zero                         an integer in [-128, 127]
//
// In float32, each operation rounded once in the order of the parentheses, no fused multiply-add: that is decode().
// Where a format has no integer scales, scale and min are 1, so the product is d (or m) itself. d is the stored float
// (MXFP4: half the E8M0 power of two, its levels being doubled). m is subtracted: formats whose file stores an offset
// to be added (Q4_1, Q5_1) give its negation.
struct BlockCodes {
  float d;
  float m;
  uint8_t code[kMaxBlockElems];
  int8_t scale[16];
  uint8_t min[16];
};

struct FormatInfo {
  TensorType type{};
  uint32_t ggml_id = 0;
  std::string_view name{};   // "q4_k"; NUL-terminated
  uint32_t block_elems = 1;  // at most kMaxBlockElems
  uint32_t block_bytes = 0;
  uint8_t bits = 0;                // of a code; of the number for float formats
  uint8_t zero = 0;                // the code of 0 where levels is null
  uint32_t sub_block = 1;          // elements that share a scale: 16 or 32; 1 for float formats
  bool is_float = false;           // F32, F16, BF16: no blocks, no codes
  bool has_min = false;            // m and min are used
  bool has_scales = false;         // integer scales inside the block (K-quants, IQ4_XS)
  const int8_t* levels = nullptr;  // 1 << bits values, or null for evenly spaced codes

  // n_elems is a multiple of block_elems.
  void (*decode)(const std::byte* blocks, float* out, size_t n_elems) = nullptr;
  // A sound reference encoder (least squares, |x|-weighted). Any input is allowed: NaN counts as 0, magnitudes that the
  // format cannot hold are clipped, and every scale written is finite. Float formats round to nearest even and keep
  // infinities and NaN.
  void (*encode)(const float* in, std::byte* blocks, size_t n_elems) = nullptr;
  // Null for float formats.
  void (*explode)(const std::byte* block, BlockCodes& out) = nullptr;

  [[nodiscard]] int level(uint8_t code) const { return levels ? levels[code] : int(code) - int(zero); }
  [[nodiscard]] double bits_per_weight() const { return 8.0 * block_bytes / block_elems; }
};

// In TensorType's order.
std::span<const FormatInfo> formats();
const FormatInfo& format_info(TensorType type);
// Null when this build does not know it.
const FormatInfo* find_format(uint32_t ggml_id);
const FormatInfo* find_format(std::string_view name);

// Bytes of n_elems elements in a row; nullopt when they are no whole number of blocks or the size overflows.
std::optional<uint64_t> row_bytes(TensorType type, uint64_t n_elems);

}  // namespace quern
