#include "grammar/schema/decimal.h"

#include <gtest/gtest.h>

namespace quern::grammar::schema {
namespace {

TEST(Decimal, OrdersExactly) {
  // Each is less than the next.
  const char* const texts[] = {"-1e9999",
                               "-20",
                               "-3",
                               "-2.5",
                               "-0.1",
                               "-1e-9999",
                               "0",
                               "1e-9999",
                               "0.09",
                               "0.1",
                               "0.1000000000000000000001",
                               "9",
                               "10",
                               "9007199254740992",
                               "9007199254740993",
                               "1e300"};
  for (size_t i = 0; i < std::size(texts); ++i) {
    for (size_t j = 0; j < std::size(texts); ++j) {
      EXPECT_EQ(Decimal::of(texts[i]) <=> Decimal::of(texts[j]), i <=> j) << texts[i] << " " << texts[j];
    }
  }
}

TEST(Decimal, OneNumberHasManyTexts) {
  for (const char* text : {"1200", "1200.0", "1.2e3", "12E+2", "120000e-2", "0.12e4"}) {
    EXPECT_EQ(Decimal::of(text), Decimal::of("1200")) << text;
    EXPECT_EQ(Decimal::of(text).plain(), "1200") << text;
    EXPECT_TRUE(Decimal::of(text).integer()) << text;
  }
  for (const char* text : {"0", "-0", "0.000", "0e5", "-0.0e-7"}) EXPECT_EQ(Decimal::of(text), Decimal()) << text;
  EXPECT_EQ(Decimal::of("-12.50e-3").plain(), "-0.0125");
  EXPECT_EQ(Decimal::of("1e-2").plain(), "0.01");
  EXPECT_EQ(Decimal::of("1e99").plain(), std::nullopt);
  EXPECT_FALSE(Decimal::of("1.5").integer());
}

TEST(Decimal, Multiples) {
  const auto multiple = [](const char* of, const char* unit) { return Decimal::of(of).multiple_of(Decimal::of(unit)); };
  EXPECT_EQ(multiple("0.07", "0.01"), true);  // not so in doubles
  EXPECT_EQ(multiple("0.075", "0.01"), false);
  EXPECT_EQ(multiple("4.5", "1.5"), true);
  EXPECT_EQ(multiple("4.6", "1.5"), false);
  EXPECT_EQ(multiple("0", "7"), true);
  EXPECT_EQ(multiple("-21", "7"), true);
  EXPECT_EQ(multiple("1e30", "7"), false);
  EXPECT_EQ(multiple("7e30", "7"), true);
  EXPECT_EQ(multiple("5", "10"), false);
  EXPECT_EQ(multiple("1e-3", "5"), false);
  EXPECT_EQ(multiple("1", "3e30"), std::nullopt);
  EXPECT_EQ(Decimal::of("0.001").power_of_ten(), -3);
  EXPECT_EQ(Decimal::of("100").power_of_ten(), 2);
  EXPECT_EQ(Decimal::of("20").power_of_ten(), std::nullopt);
}

}  // namespace
}  // namespace quern::grammar::schema
