// The level table that IQ4_NL and IQ4_XS share. Internal to quant.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "quant/fit.h"

namespace quern::formats_detail {

inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr LevelSet kIq4Set{.lo = -127, .hi = 113, .sorted = kIq4Levels, .count = 16};

// The code of the level nearest to x: the table ascends, so its place is its code.
inline uint8_t iq4_code(double x) {
  const int level = kIq4Set.nearest(x);
  return static_cast<uint8_t>(std::find(std::begin(kIq4Levels), std::end(kIq4Levels), level) - std::begin(kIq4Levels));
}

}  // namespace quern::formats_detail
