#include "tools/calculator.h"

#include <gtest/gtest.h>

#include <cmath>

namespace quern::toolbox {
namespace {

std::string result(std::string_view expression) {
  const auto value = calculate(expression);
  return value ? number_text(*value) : value.error().message;
}

TEST(Calculator, FollowsTheRulesOfArithmetic) {
  EXPECT_EQ(result("1+2*3"), "7");
  EXPECT_EQ(result("(1+2)*3"), "9");
  EXPECT_EQ(result("2^3^2"), "512");
  EXPECT_EQ(result("2**10"), "1024");
  EXPECT_EQ(result("-2^2"), "-4");
  EXPECT_EQ(result("2^-1"), "0.5");
  EXPECT_EQ(result("2 - -3 + +1"), "6");
  EXPECT_EQ(result("10/4/5"), "0.5");
  EXPECT_EQ(result("7 % 3"), "1");
  EXPECT_EQ(result("-7 % 3"), "2");
  EXPECT_EQ(result("7 % -3"), "-2");
  EXPECT_EQ(result("0.1+0.2"), "0.3");
  EXPECT_EQ(result("1e3 + .5"), "1000.5");
  EXPECT_EQ(result("123456789 * 987654"), "121932591483006");
  EXPECT_EQ(result("2^53 - 1"), "9007199254740991");
  EXPECT_EQ(result("-0"), "0");
  EXPECT_EQ(result("1/3"), "0.333333333333333");
}

TEST(Calculator, KnowsItsFunctionsAndConstants) {
  EXPECT_EQ(result("sqrt(2)^2 - 2 < 1").substr(0, 13), "at character ");
  EXPECT_EQ(result("abs(-3)"), "3");
  EXPECT_EQ(result("min(3, 1, 2) + max(1,2)"), "3");
  EXPECT_EQ(result("floor(-1.5) + ceil(1.2)"), "0");
  EXPECT_EQ(result("round(2.5) + round(-2.5)"), "0");
  EXPECT_EQ(result("round(0.5)"), "1");
  EXPECT_NEAR(*calculate("sin(pi/6)"), 0.5, 1e-15);
  EXPECT_EQ(result("cos(0)"), "1");
  EXPECT_EQ(result("ln(exp(2))"), "2");
  EXPECT_EQ(result("ln(e)"), "1");
  EXPECT_EQ(*calculate("pi"), M_PI);
}

TEST(Calculator, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(result(""), "at character 1: the expression ends too early");
  EXPECT_EQ(result("1+"), "at character 3: the expression ends too early");
  EXPECT_EQ(result("(1"), "at character 3: ')' is missing");
  EXPECT_EQ(result("1 2"), "at character 3: '2' is not expected here");
  EXPECT_EQ(result("1/0"), "at character 2: division by zero");
  EXPECT_EQ(result("5%(1-1)"), "at character 2: division by zero");
  EXPECT_EQ(result("0^-1"), "at character 2: division by zero");
  EXPECT_EQ(result("sqrt(-1)"), "at character 1: this has no real value");
  EXPECT_EQ(result("(-8)^0.5"), "at character 5: this has no real value");
  EXPECT_EQ(result("ln(0)"), "at character 1: this is beyond what a number can hold");
  EXPECT_EQ(result("10^400"), "at character 3: this is beyond what a number can hold");
  EXPECT_EQ(result("1e400"), "at character 1: this number is too large or too small");
  EXPECT_EQ(result("squrt(4)"), "at character 1: there is no 'squrt' here: did you mean sqrt?");
  EXPECT_EQ(result("sqrt 4"), "at character 6: '(' is missing after sqrt");
  EXPECT_EQ(result("sqrt(4, 9)"), "at character 5: sqrt takes 1 argument");
  EXPECT_EQ(result("system('ls')"), "at character 1: there is no 'system' here");
  EXPECT_EQ(result("0x10"), "at character 2: 'x' is not expected here");
  EXPECT_EQ(result("inf"), "at character 1: there is no 'inf' here");
}

TEST(Calculator, IsBounded) {
  EXPECT_EQ(result(std::string(50, '(') + "1" + std::string(50, ')')), "1");
  EXPECT_NE(result(std::string(51, '(') + "1" + std::string(51, ')')).find("nested deeper"), std::string::npos);
  std::string powers = "1";
  for (int i = 0; i < 60; ++i) powers += "^1";
  EXPECT_NE(result(powers).find("nested deeper"), std::string::npos);
  EXPECT_EQ(result(std::string(900, '-') + "1"), "1");
  EXPECT_NE(result(std::string(1001, '1')).find("at most 1000"), std::string::npos);
}

}  // namespace
}  // namespace quern::toolbox
