#include "bench/statistics.h"

#include <gtest/gtest.h>

#include "bench/limits.h"

namespace quern {
namespace {

TEST(Statistics, MedianOfOddAndEvenCounts) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({4, 1, 9, 2}), 3);
}

TEST(Statistics, StandardDeviationIsOfTheSample) {
  EXPECT_EQ(standard_deviation({7}), 0);
  EXPECT_DOUBLE_EQ(standard_deviation({2, 4, 4, 4, 5, 5, 7, 9}), std::sqrt(32.0 / 7));
}

// The loops of each instruction set do the multiply-adds that they say: twice as many for twice the iterations, and
// no loop was computed in advance (which would make it faster than any processor).
TEST(Limits, PeaksAreOfThisWorld) {
  for (const IsaInfo& isa : isas()) {
    if (!isa.supported) continue;
    SCOPED_TRACE(isa.name);
    EXPECT_EQ(isa.table->peak_int_macs(20), 2 * isa.table->peak_int_macs(10));
    EXPECT_EQ(isa.table->peak_float_macs(20), 2 * isa.table->peak_float_macs(10));
    const auto limits = measure_limits(*isa.table, 1);
    ASSERT_TRUE(limits.has_value()) << limits.error().message;
    EXPECT_EQ(limits->isa, isa.name);
    EXPECT_GT(limits->read_bytes_per_s, 1e7);
    EXPECT_LT(limits->read_bytes_per_s, 1e12);
    EXPECT_GT(limits->int_macs_per_s, 1e6);
    EXPECT_LT(limits->int_macs_per_s, 1e13);
    EXPECT_GT(limits->float_macs_per_s, 1e6);
    EXPECT_LT(limits->float_macs_per_s, 1e12);
  }
}

TEST(Limits, AnUnknownInstructionSetIsNamedWithThoseKnown) {
  const auto kernels = find_kernels("avx9");
  ASSERT_FALSE(kernels.has_value());
  EXPECT_NE(kernels.error().message.find("avx9"), std::string::npos);
  EXPECT_NE(kernels.error().message.find("ref"), std::string::npos);
}

}  // namespace
}  // namespace quern
