// The compile-time shape of each integer format: what an ISA's templates need. kernels_test checks it against the
// catalogue, so a wrong row cannot stand. consteval only: nothing here leaves a symbol in a sealed ISA file.
#pragma once

#include "quant/format.h"

namespace quern {

struct FormatShape {
  int bits = 0;         // of a code
  int zero = 0;         // the code of 0, when not levels
  bool levels = false;  // codes index a table
  int sub_block = 32;   // 16 or 32
  bool has_min = false;
  bool has_scales = false;
  bool e8m0 = false;
};

consteval FormatShape shape_of(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return {.bits = 4, .zero = 8};
    case TensorType::kQ4_1:
      return {.bits = 4, .has_min = true};
    case TensorType::kQ5_0:
      return {.bits = 5, .zero = 16};
    case TensorType::kQ5_1:
      return {.bits = 5, .has_min = true};
    case TensorType::kQ8_0:
      return {.bits = 8, .zero = 128};
    case TensorType::kQ2_K:
      return {.bits = 2, .sub_block = 16, .has_min = true, .has_scales = true};
    case TensorType::kQ3_K:
      return {.bits = 3, .zero = 4, .sub_block = 16, .has_scales = true};
    case TensorType::kQ4_K:
      return {.bits = 4, .has_min = true, .has_scales = true};
    case TensorType::kQ5_K:
      return {.bits = 5, .has_min = true, .has_scales = true};
    case TensorType::kQ6_K:
      return {.bits = 6, .zero = 32, .sub_block = 16, .has_scales = true};
    case TensorType::kIQ4_NL:
      return {.bits = 4, .levels = true};
    case TensorType::kIQ4_XS:
      return {.bits = 4, .levels = true, .has_scales = true};
    case TensorType::kMXFP4:
      return {.bits = 4, .levels = true, .e8m0 = true};
    default:
      return {};
  }
}

// Bytes of one packed block of 32 columns, 16 rows, and of the header before each eight (kernels/pack.h).
consteval size_t low_bytes(FormatShape s) {
  return s.bits == 8 ? 512 : s.bits >= 4 ? 256 : 128;
}
consteval size_t high_bytes(FormatShape s) {
  return s.bits == 5 || s.bits == 3 ? 64 : s.bits == 6 ? 128 : 0;
}
consteval size_t header_bytes(FormatShape s) {
  return s.has_scales ? (s.has_min ? 64 : 32) : 0;
}
consteval size_t scale_bytes(FormatShape s) {
  if (s.e8m0) return 16;
  if (!s.has_scales) return s.has_min ? 64 : 32;
  return s.sub_block == 16 ? 32 : (s.has_min ? 32 : 16);
}
consteval size_t block_bytes(FormatShape s) {
  return low_bytes(s) + high_bytes(s) + scale_bytes(s);
}

}  // namespace quern
