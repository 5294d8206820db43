// What the 256-element formats share: fitting 8 or 16 sub-blocks under common scales, and two packings. Internal to
// quant.
#pragma once

#include <cstdint>

#include "quant/fit.h"

namespace quern::formats_detail {

inline constexpr int kSuper = 256;

// An encoded super-block before packing. d and m are finite f16 bits.
struct SuperFit {
  uint16_t d = 0;
  uint16_t m = 0;
  int scale[16] = {};
  int min[16] = {};
  uint8_t code[kSuper] = {};  // fit_super_affine
  int8_t level[kSuper] = {};  // fit_super_signed
};

// x near d * scale * code - m * min; code in 0..code_max, scale and min in 0..scale_max.
void fit_super_affine(const float* in, int sub_block, int code_max, int scale_max, SuperFit& out);

// x near d * scale * level; scale in scale_lo..scale_hi.
void fit_super_signed(const float* in, int sub_block, const LevelSet& levels, int scale_lo, int scale_hi,
                      SuperFit& out);

// Eight 6-bit scales and eight 6-bit minima in 12 bytes (Q4_K, Q5_K): byte j < 4 has scale j in bits 0..5 and the top 2
// bits of scale j + 4 above; byte 4 + j the same of the minima; byte 8 + j the low 4 bits of scale and minimum j + 4.
inline void unpack_scales6(const uint8_t* packed, int8_t* scale, uint8_t* min) {
  for (int j = 0; j < 4; ++j) {
    scale[j] = static_cast<int8_t>(packed[j] & 63);
    min[j] = packed[4 + j] & 63;
    scale[j + 4] = static_cast<int8_t>((packed[8 + j] & 15) | (packed[j] >> 6) << 4);
    min[j + 4] = static_cast<uint8_t>(packed[8 + j] >> 4 | (packed[4 + j] >> 6) << 4);
  }
}

inline void pack_scales6(const SuperFit& fit, uint8_t* packed) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(fit.scale[j] | (fit.scale[j + 4] >> 4) << 6);
    packed[4 + j] = static_cast<uint8_t>(fit.min[j] | (fit.min[j + 4] >> 4) << 6);
    packed[8 + j] = static_cast<uint8_t>((fit.scale[j + 4] & 15) | (fit.min[j + 4] & 15) << 4);
  }
}

// 2-bit fields: byte 32c + l, field s holds element 128c + 32s + l. put_* write into zeroed bytes.
inline uint8_t crumb(const uint8_t* qs, int i) {
  return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}
// Adds all 256 to the codes, `shift` bits up.
inline void add_crumbs(const uint8_t* qs, int shift, uint8_t* code) {
  for (int i = 0; i < kSuper; i += 32) {
    const uint8_t* from = qs + i / 128 * 32;
    for (int l = 0; l < 32; ++l)
      code[i + l] = static_cast<uint8_t>(code[i + l] | (from[l] >> (i % 128 / 32 * 2) & 3) << shift);
  }
}
// Adds bit b of byte l to code 32b + l.
inline void add_bit_planes(const uint8_t* planes, int shift, uint8_t* code) {
  for (int b = 0; b < 8; ++b) {
    for (int l = 0; l < 32; ++l)
      code[32 * b + l] = static_cast<uint8_t>(code[32 * b + l] | (planes[l] >> b & 1) << shift);
  }
}
inline void put_crumb(uint8_t* qs, int i, int value) {
  uint8_t& byte = qs[i / 128 * 32 + i % 32];
  byte = static_cast<uint8_t>(byte | value << (i % 128 / 32 * 2));
}

// 4-bit fields: byte 32p + l holds element 64p + l in its low nibble, 64p + 32 + l in its high one.
inline uint8_t paired_nibble(const uint8_t* qs, int i) {
  return qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
}
inline void paired_nibbles(const uint8_t* qs, uint8_t* code) {
  for (int p = 0; p < kSuper / 64; ++p, qs += 32, code += 64) {
    for (int l = 0; l < 32; ++l) code[l] = qs[l] & 15;
    for (int l = 0; l < 32; ++l) code[l + 32] = qs[l] >> 4;
  }
}
inline void put_paired_nibble(uint8_t* qs, int i, int value) {
  uint8_t& byte = qs[i / 64 * 32 + i % 32];
  byte = static_cast<uint8_t>(byte | value << (i % 64 / 32 * 4));
}

}  // namespace quern::formats_detail
