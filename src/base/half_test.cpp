#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace quern {
namespace {

TEST(Half, EveryFiniteValueSurvivesARoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    if ((h & 0x7c00) == 0x7c00 && (h & 0x3ff)) continue;  // NaN
    ASSERT_EQ(f32_to_f16(f16_to_f32(static_cast<uint16_t>(h))), h);
  }
}

TEST(Half, RoundsToNearestEvenAtEveryMidpoint) {
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const float lo = f16_to_f32(static_cast<uint16_t>(h));
    const float hi = f16_to_f32(static_cast<uint16_t>(h + 1));
    const float mid = lo + (hi - lo) * 0.5f;
    ASSERT_EQ(f32_to_f16(mid), (h & 1) ? h + 1 : h) << h;
    ASSERT_EQ(f32_to_f16(std::nextafterf(mid, hi)), h + 1);
    ASSERT_EQ(f32_to_f16(std::nextafterf(mid, lo)), h);
  }
}

TEST(Half, OverflowAndNan) {
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::nextafterf(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xfc00);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(NAN))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(NAN))));
  EXPECT_EQ(e8m0_to_f32(127), 1.0f);
  EXPECT_EQ(e8m0_to_f32(0), 0x1p-127f);
}

}  // namespace
}  // namespace quern
