// Decimal: a JSON number of any size, exact. For bounds, enum and multipleOf, which a double would round.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quern::grammar::schema {

class Decimal {
 public:
  Decimal() = default;  // 0
  // Of a text that JSON allows, with an exponent of few digits (as parse_json lets through).
  static Decimal of(std::string_view text);

  [[nodiscard]] bool zero() const { return digits_.empty(); }
  [[nodiscard]] bool negative() const { return negative_; }
  [[nodiscard]] bool integer() const { return static_cast<int64_t>(digits_.size()) <= point_; }
  // Without an exponent; nullopt: that would take more than a few dozen digits.
  [[nodiscard]] std::optional<std::string> plain() const;
  // k of 10^k; nullopt: it is none.
  [[nodiscard]] std::optional<int64_t> power_of_ten() const;
  // Whether it is an integer times `unit` (more than 0); nullopt: too long to tell.
  [[nodiscard]] std::optional<bool> multiple_of(const Decimal& unit) const;

  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
  friend bool operator==(const Decimal& a, const Decimal& b) = default;

 private:
  // 0.digits * 10^point, digits without zeros at either end. 0 has none, and its sign and point are those of Decimal().
  bool negative_ = false;
  std::string digits_;
  int64_t point_ = 0;
};

}  // namespace quern::grammar::schema
