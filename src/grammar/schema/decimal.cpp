#include "grammar/schema/decimal.h"

#include <algorithm>
#include <charconv>

namespace quern::grammar::schema {

Decimal Decimal::of(std::string_view text) {
  Decimal number;
  number.negative_ = text.starts_with('-');
  if (number.negative_) text.remove_prefix(1);
  const std::string_view mantissa = text.substr(0, text.find_first_of("eE"));
  if (mantissa.size() < text.size()) {
    std::string_view exponent = text.substr(mantissa.size() + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    std::from_chars(exponent.data(), exponent.data() + exponent.size(), number.point_);
  }
  const std::string_view whole = mantissa.substr(0, mantissa.find('.'));
  number.digits_ = whole;
  if (whole.size() < mantissa.size()) number.digits_ += mantissa.substr(whole.size() + 1);
  number.point_ += static_cast<int64_t>(whole.size());
  const size_t first = number.digits_.find_first_not_of('0');
  if (first == std::string::npos) return {};
  number.digits_.erase(0, first);
  number.point_ -= static_cast<int64_t>(first);
  number.digits_.erase(number.digits_.find_last_not_of('0') + 1);
  return number;
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  const auto sign = [](const Decimal& x) { return x.zero() ? 0 : x.negative_ ? -1 : 1; };
  if (sign(a) != sign(b) || a.zero()) return sign(a) <=> sign(b);
  const Decimal& low = a.negative_ ? b : a;
  const Decimal& high = a.negative_ ? a : b;
  if (low.point_ != high.point_) return low.point_ <=> high.point_;
  return low.digits_.compare(high.digits_) <=> 0;
}

std::optional<std::string> Decimal::plain() const {
  constexpr int64_t kMost = 40;
  const auto n = static_cast<int64_t>(digits_.size());
  if (zero()) return "0";
  if (n > kMost || point_ > kMost || point_ < -kMost) return std::nullopt;
  std::string text = negative_ ? "-" : "";
  if (point_ <= 0) return text + "0." + std::string(static_cast<size_t>(-point_), '0') + digits_;
  if (point_ >= n) return text + digits_ + std::string(static_cast<size_t>(point_ - n), '0');
  const auto whole = static_cast<size_t>(point_);
  return text + digits_.substr(0, whole) + '.' + digits_.substr(whole);
}

std::optional<int64_t> Decimal::power_of_ten() const {
  if (digits_ != "1" || negative_) return std::nullopt;
  return point_ - 1;
}

std::optional<bool> Decimal::multiple_of(const Decimal& unit) const {
  if (zero()) return true;
  // The exponents of the last digits; both numbers are integers times 10 to the lesser one.
  const int64_t last = point_ - static_cast<int64_t>(digits_.size());
  const int64_t unit_last = unit.point_ - static_cast<int64_t>(unit.digits_.size());
  if (const auto power = unit.power_of_ten()) return last >= *power;
  constexpr int64_t kMostDigits = 18;  // of a divisor, so that ten times a remainder fits
  const int64_t unit_zeros = std::max<int64_t>(0, unit_last - last);
  if (static_cast<int64_t>(unit.digits_.size()) + unit_zeros > kMostDigits) return std::nullopt;
  uint64_t divisor = 0, remainder = 0;
  std::from_chars(unit.digits_.data(), unit.digits_.data() + unit.digits_.size(), divisor);
  for (int64_t i = 0; i < unit_zeros; ++i) divisor *= 10;
  for (const char digit : digits_) remainder = (remainder * 10 + static_cast<uint64_t>(digit - '0')) % divisor;
  for (int64_t i = unit_last; i < last && remainder != 0; ++i) remainder = remainder * 10 % divisor;
  return remainder == 0;
}

}  // namespace quern::grammar::schema
