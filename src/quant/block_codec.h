// What the files of formats/ share: the walk over blocks, and the one decode formula of BlockCodes. Internal to quant.
#pragma once

#include <bit>
#include <cstring>

#include "base/half.h"
#include "quant/format.h"

namespace quern::formats_detail {

static_assert(std::endian::native == std::endian::little, "tensor blocks are little-endian and read in place");

// 32 elements of 4 bits in 16 bytes: element j in the low nibble of byte j, j + 16 in the high one. put_* write into
// zeroed bytes.
inline uint8_t nibble(const uint8_t* qs, int i) {
  return qs[i % 16] >> (i / 16 * 4) & 15;
}
// All of them, in loops that compilers turn into vector code: packing a model takes one of these per weight.
inline void nibbles(const uint8_t* qs, uint8_t* code) {
  for (int j = 0; j < 16; ++j) code[j] = qs[j] & 15;
  for (int j = 0; j < 16; ++j) code[j + 16] = qs[j] >> 4;
}
// Adds bit i of 32 to code i, `shift` bits up: a byte's bits are spread over eight bytes by one multiplication.
inline void add_bits(const uint8_t* bits, int shift, uint8_t* code) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  for (int j = 0; j < 4; ++j) {
    const uint64_t one_each = bits[j] * kOnes & 0x8040201008040201u;  // bit k in byte k
    uint64_t word;
    std::memcpy(&word, code + 8 * j, 8);
    word |= ((one_each + 0x7f * kOnes) >> 7 & kOnes) << shift;
    std::memcpy(code + 8 * j, &word, 8);
  }
}
inline void put_nibble(uint8_t* qs, int i, int value) {
  qs[i % 16] = static_cast<uint8_t>(qs[i % 16] | value << (i / 16 * 4));
}
inline int bit(const uint8_t* bits, int i) {
  return bits[i / 8] >> (i % 8) & 1;
}
inline void put_bit(uint8_t* bits, int i, int value) {
  bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | value << (i % 8));
}

// The formula of BlockCodes. `info` supplies the levels; -ffp-contract=off keeps the roundings apart.
void decode_codes(const FormatInfo& info, const BlockCodes& codes, float* out);

// A format's three functions from its block struct and its two converters
//   static void explode(const Block&, BlockCodes&);   static void encode(const float* x, Block&);
template <class Format>
struct Codec {
  using Block = typename Format::Block;
  static_assert(std::is_trivially_copyable_v<Block>);

  static void explode(const std::byte* bytes, BlockCodes& out) {
    Block block;
    std::memcpy(&block, bytes, sizeof(Block));
    Format::explode(block, out);
  }

  static void decode(const std::byte* bytes, float* out, size_t n_elems) {
    const FormatInfo info = Format::info();
    BlockCodes codes;
    for (size_t i = 0; i < n_elems; i += info.block_elems, bytes += sizeof(Block)) {
      explode(bytes, codes);
      decode_codes(info, codes, out + i);
    }
  }

  static void encode(const float* in, std::byte* bytes, size_t n_elems) {
    const uint32_t block_elems = Format::info().block_elems;
    for (size_t i = 0; i < n_elems; i += block_elems, bytes += sizeof(Block)) {
      Block block{};
      Format::encode(in + i, block);
      std::memcpy(bytes, &block, sizeof(Block));
    }
  }
};

// Completes what Format::info() says with its functions and block size.
template <class Format>
FormatInfo describe() {
  FormatInfo info = Format::info();
  info.block_bytes = sizeof(typename Format::Block);
  info.decode = Codec<Format>::decode;
  info.encode = Codec<Format>::encode;
  info.explode = Codec<Format>::explode;
  return info;
}

}  // namespace quern::formats_detail
