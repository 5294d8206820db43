// SplitMix64: a small counter-based generator with one fixed result on every machine. Used for sampling (seeded per
// sequence and position, so that the result does not depend on the batch) and for random test data.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#pragma once

#include <cstdint>

namespace quern {

class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  // Uniform in [0, 1) with 53 bits.
  double next_double() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Uniform in [-1, 1), exact in float32 (24 bits).
  float next_float() { return static_cast<float>(next() >> 40) * 0x1p-23f - 1.0f; }

 private:
  uint64_t state_;
};

}  // namespace quern
