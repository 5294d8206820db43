#include "grammar/number_range.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "tests/support/ir_match.h"

namespace quern::grammar {
namespace {

// nullopt: it holds nothing.
std::optional<Ir> range_ir(const NumberRange& range, bool integer) {
  IrBuilder builder;
  const auto symbol = add_number_range(range, integer, builder);
  EXPECT_TRUE(symbol) << symbol.error().message;
  if (!symbol) return std::nullopt;
  auto ir = builder.finish(*symbol);
  if (!ir) return std::nullopt;
  return std::move(*ir);
}

ErrorCode code_of(const NumberRange& range, bool integer) {
  IrBuilder builder;
  const auto symbol = add_number_range(range, integer, builder);
  return symbol ? ErrorCode::kIo : symbol.error().code;
}

// A value in hundredths, with as many places as it needs, or more.
std::string hundredths(int value, int more = 0) {
  std::string text = fmt::format("{}{}", value < 0 ? "-" : "", std::abs(value) / 100);
  const int rest = std::abs(value) % 100;
  if (rest % 10 != 0) {
    text += fmt::format(".{:02}", rest);
  } else if (rest != 0) {
    text += fmt::format(".{}", rest / 10);
  } else if (more > 0) {
    text += '.';
  }
  return text + std::string(static_cast<size_t>(more), '0');
}

TEST(NumberRange, IntegersAreThoseWithin) {
  for (const auto& [least, most] : std::vector<std::pair<int, int>>{{0, 0},
                                                                    {0, 9},
                                                                    {0, 150},
                                                                    {-5, 5},
                                                                    {-150, -17},
                                                                    {1, 12},
                                                                    {99, 101},
                                                                    {-1, 0},
                                                                    {8, 1024},
                                                                    {37, 37},
                                                                    {5, 4},
                                                                    {-999, 1000}}) {
    for (const bool open : {false, true}) {
      const auto ir = range_ir({std::to_string(least), std::to_string(most), open, open}, true);
      bool some = false;
      for (int value = -1100; value <= 1100; value += value < -200 || value > 200 ? 7 : 1) {
        const bool inside = open ? value > least && value < most : value >= least && value <= most;
        some = some || inside;
        ASSERT_EQ(ir && ir_matches(*ir, std::to_string(value)), inside) << value << " in " << least << " to " << most;
      }
      EXPECT_EQ(ir.has_value(), some) << least << " to " << most;
      if (!ir) continue;
      for (const char* text : {"", "-", "-0", "00", "007", "1.0", "1e1", "+1", " 1"})
        EXPECT_FALSE(ir_matches(*ir, text)) << text;
    }
  }
}

TEST(NumberRange, IntegersTakeFractionsAsBounds) {
  const auto ir = range_ir({"-2.5", "3.999", true, false}, true);
  ASSERT_TRUE(ir);
  for (int value = -10; value < 10; ++value)
    EXPECT_EQ(ir_matches(*ir, std::to_string(value)), value >= -2 && value <= 3) << value;
  const auto hundreds = range_ir({"1e2", "3.0E+2", true, true}, true);
  ASSERT_TRUE(hundreds);
  for (int value = 90; value < 310; ++value)
    EXPECT_EQ(ir_matches(*hundreds, std::to_string(value)), value > 100 && value < 300) << value;
  EXPECT_FALSE(range_ir({"0.1", "0.9"}, true)) << "no integer";
}

TEST(NumberRange, NumbersAreThoseWithin) {
  SplitMix64 random(31);
  for (int round = 0; round < 18; ++round) {
    const int scale = round % 3 == 0 ? 3000 : 300;
    const auto draw = [&] { return static_cast<int>(random.next() % (2 * static_cast<uint64_t>(scale) + 1)) - scale; };
    const int least = draw(), most = round % 10 == 0 ? least : draw();
    const bool least_open = random.next() % 2 == 0, most_open = random.next() % 2 == 0;
    const auto ir = range_ir({hundredths(least), hundredths(most), least_open, most_open}, false);
    for (int value = -scale - 50; value <= scale + 50; value += 1 + static_cast<int>(random.next() % 3)) {
      const bool inside = (least_open ? value > least : value >= least) && (most_open ? value < most : value <= most);
      for (const int more : {0, 2}) {
        const std::string text = hundredths(value, more);
        ASSERT_EQ(ir && ir_matches(*ir, text), inside)
            << text << " in " << hundredths(least) << " to " << hundredths(most);
      }
    }
    if (!ir) continue;
    for (const char* text : {"", "-", "-0", "-0.0", "1.", ".5", "01", "1e1", "+1"})
      EXPECT_FALSE(ir_matches(*ir, text)) << text;
  }
}

TEST(NumberRange, OneBoundIsEnough) {
  const auto from = range_ir({.least = "5", .least_open = true}, false);
  ASSERT_TRUE(from);
  for (const char* text : {"5.0000000001", "6", "999999999999999", "999999999999999.25"})
    EXPECT_TRUE(ir_matches(*from, text)) << text;
  for (const char* text : {"5", "5.0", "4", "-6", "0", "1000000000000000"})
    EXPECT_FALSE(ir_matches(*from, text)) << text;
  const auto to = range_ir({.most = "-0.5"}, false);
  ASSERT_TRUE(to);
  for (const char* text : {"-0.5", "-0.50", "-7", "-0.6"}) EXPECT_TRUE(ir_matches(*to, text)) << text;
  for (const char* text : {"-0.4999", "0", "1"}) EXPECT_FALSE(ir_matches(*to, text)) << text;
  const auto positive = range_ir({.least = "0", .least_open = true}, false);
  ASSERT_TRUE(positive);
  EXPECT_TRUE(ir_matches(*positive, "0.0000000001"));
  for (const char* text : {"0", "0.0", "0.0000000000", "-0", "-0.1"}) EXPECT_FALSE(ir_matches(*positive, text)) << text;
}

TEST(NumberRange, BoundsBeyondTheDigitsDoNotBind) {
  for (const char* most :
       {"1.7976931348623157e308", "1e999999999999", "1000000000000000", "99999999999999999999999999999999999999"}) {
    const auto ir = range_ir({"-1e308", most}, false);
    ASSERT_TRUE(ir) << most;
    for (const char* text : {"999999999999999.5", "-999999999999999.5", "0"})
      EXPECT_TRUE(ir_matches(*ir, text)) << text;
  }
  const auto unsigned_ir = range_ir({"0", "18446744073709551615"}, true);
  ASSERT_TRUE(unsigned_ir);
  EXPECT_TRUE(ir_matches(*unsigned_ir, "9223372036854775807"));
  EXPECT_FALSE(ir_matches(*unsigned_ir, "9223372036854775808"));
}

TEST(NumberRange, SmallBoundsHaveTheirDigits) {
  const auto ir = range_ir({"1e-12", "2e-12", true, false}, false);
  ASSERT_TRUE(ir);
  for (const char* text : {"0.0000000000011", "0.000000000002", "0.00000000000101"})
    EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"0.000000000001", "0.0000000000021", "0", "0.0"})
    EXPECT_FALSE(ir_matches(*ir, text)) << text;
}

TEST(NumberRange, RefusesWhatItCannotTell) {
  EXPECT_EQ(code_of({.least = "1e300"}, false), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of({.most = "-1e16"}, false), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of({.least = "9223372036854775808"}, true), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of({.least = "1e-300"}, false), ErrorCode::kUnsupported);
  for (const char* text : {"", "-", "1.", ".1", "01", "1e", "0x1", "1 ", "NaN", "+1", "1e+", "--1", "1..2"}) {
    EXPECT_EQ(code_of({.least = text}, false), ErrorCode::kInvalidArgument) << text;
  }
}

// What a validator does: it reads both as doubles.
bool within(const std::string& text, const NumberRange& range) {
  const double value = std::strtod(text.c_str(), nullptr);
  if (range.least) {
    const double least = std::strtod(range.least->c_str(), nullptr);
    if (range.least_open ? !(value > least) : !(value >= least)) return false;
  }
  if (range.most) {
    const double most = std::strtod(range.most->c_str(), nullptr);
    if (range.most_open ? !(value < most) : !(value <= most)) return false;
  }
  return true;
}

// A random text of the range, near its bounds as often as not: digits by digits, each state's edges with equal chances.
TEST(NumberRange, HoldsInDoublesToo) {
  SplitMix64 random(41);
  const char* bounds[] = {"0.1",
                          "0.30000000000000004",
                          "-0.30000000000000004",
                          "0.1000000000000000055511151231257827",
                          "1e-7",
                          "-1e-7",
                          "123456789012345.678",
                          "-123456789012345.678",
                          "99999999999999.95",
                          "3.141592653589793",
                          "0",
                          "-2.5e3",
                          "9007199254740993.0",
                          "4.35",
                          "1e14",
                          "0.9999999999999999"};
  int n_texts = 0;
  for (const char* a : bounds) {
    for (const char* b : bounds) {
      for (const bool integer : {false, true}) {
        const NumberRange range{a, b, random.next() % 2 == 0, random.next() % 2 == 0};
        IrBuilder builder;
        const auto symbol = add_number_range(range, integer, builder);
        if (!symbol) continue;
        const auto ir = builder.finish(*symbol);
        if (!ir) continue;
        for (int i = 0; i < 15; ++i, ++n_texts) {
          const std::string text = ir_sample(*ir, random, 60);
          ASSERT_TRUE(within(text, range)) << text << " in " << a << " to " << b << (range.least_open ? " (" : " [")
                                           << (range.most_open ? ")" : "]");
        }
      }
    }
  }
  EXPECT_GT(n_texts, 1000);
}

TEST(AddNumber, WritesWhatJsonReads) {
  IrBuilder builder;
  const Symbol number = add_number(builder), integer = add_integer(builder);
  const auto ir = builder.finish(builder.choice({number, integer}));
  ASSERT_TRUE(ir) << ir.error().message;
  SplitMix64 random(51);
  for (int i = 0; i < 500; ++i) {
    const std::string text = ir_sample(*ir, random, 100);
    EXPECT_TRUE(nlohmann::json::parse(text, nullptr, false).is_number()) << text;
  }
  for (const char* text : {"0", "-1.5", "3e8", "1E-10", "123456789012345.0123456789", "-9223372036854775808"})
    EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"01", "1.", "-", "e5", "1e123", "1e", "12345678901234567890", ".5", "+1"})
    EXPECT_FALSE(ir_matches(*ir, text)) << text;
}

TEST(AddInteger, HasNoFractionAndNoMinusZero) {
  IrBuilder builder;
  const auto ir = builder.finish(add_integer(builder));
  ASSERT_TRUE(ir) << ir.error().message;
  for (const char* text : {"0", "-1", "42", "9223372036854775807", "-9223372036854775808"})
    EXPECT_TRUE(ir_matches(*ir, text)) << text;
  for (const char* text : {"-0", "1.0", "1e3", "00", "9223372036854775808", "-9223372036854775809", "-"})
    EXPECT_FALSE(ir_matches(*ir, text)) << text;
}

}  // namespace
}  // namespace quern::grammar
