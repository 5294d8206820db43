#include "grammar/schema/multiples.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>

namespace quern::grammar::schema {
namespace {

constexpr size_t kMaxListed = 2000;
constexpr size_t kMaxDigits = 12;     // before the point, where nothing else bounds them
constexpr int64_t kMaxDecimals = 12;  // that a unit may have
constexpr int64_t kMaxInteger = 100;  // as a unit without ends

// number * 10^decimals, where that is an integer of a moderate size.
std::optional<int64_t> scaled(const Decimal& number, int64_t decimals) {
  constexpr int64_t kMost = 1'000'000'000'000'000;
  std::string text = number.plain().value_or("");
  if (text.empty() || text.size() > 16) return std::nullopt;
  const size_t point = std::min(text.find('.'), text.size());
  const auto after = static_cast<int64_t>(point == text.size() ? 0 : text.size() - point - 1);
  if (after > decimals) return std::nullopt;
  if (point < text.size()) text.erase(point, 1);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  for (int64_t i = after; i < decimals; ++i) {
    value *= 10;
    if (std::abs(value) > kMost) return std::nullopt;
  }
  return value;
}

std::string unscaled(int64_t value, int64_t decimals) {
  std::string digits = std::to_string(std::abs(value));
  const auto n = static_cast<size_t>(decimals);
  if (digits.size() <= n) digits.insert(0, n + 1 - digits.size(), '0');
  if (n > 0) {
    digits.insert(digits.size() - n, 1, '.');
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
  }
  return value < 0 ? "-" + digits : digits;
}

int64_t decimals_of(const Decimal& number) {
  const std::string text = number.plain().value_or("");
  const size_t point = text.find('.');
  return point == text.npos ? 0 : static_cast<int64_t>(text.size() - point - 1);
}

// Every multiple between two ends; nullopt: too many, or too long.
std::optional<std::vector<std::string>> listed(const std::vector<Decimal>& units, const NumberRange& range,
                                               bool integer) {
  const Decimal least = Decimal::of(*range.least), most = Decimal::of(*range.most);
  const int64_t decimals = std::max({decimals_of(units[0]), decimals_of(least), decimals_of(most)});
  if (decimals > kMaxDecimals) return std::nullopt;
  const auto unit = scaled(units[0], decimals), low = scaled(least, decimals), high = scaled(most, decimals);
  if (!unit || !low || !high || *unit == 0) return std::nullopt;
  int64_t k = *low / *unit + (*low % *unit > 0 ? 1 : 0);
  std::vector<std::string> texts;
  size_t tried = 0;
  for (; k * *unit <= *high; ++k) {
    if (++tried > kMaxListed) return std::nullopt;
    std::string text = unscaled(k * *unit, decimals);
    const Decimal value = Decimal::of(text);
    if ((integer && !value.integer()) || (range.least_open && value == least) || (range.most_open && value == most))
      continue;
    bool good = true;
    for (size_t i = 1; i < units.size() && good; ++i) {
      const auto multiple = value.multiple_of(units[i]);
      if (!multiple) return std::nullopt;
      good = *multiple;
    }
    if (good) texts.push_back(std::move(text));
  }
  return texts;
}

// Digits after which the number is a multiple of `unit`: by what remains of those before.
class Remainders {
 public:
  Remainders(uint32_t unit, size_t least_digits, IrBuilder& to) : unit_(unit), least_(least_digits), to_(to) {}

  // A first digit that is not 0, then up to kMaxDigits - 1 more.
  Symbol positive() { return digits(0, kMaxDigits, ByteSet::range('1', '9')); }

 private:
  Symbol digits(uint32_t remainder, size_t left, const ByteSet& allowed) {
    const Symbol rule = to_.rule();
    std::map<uint32_t, ByteSet> next;
    allowed.for_each([&](uint8_t digit) { next[(remainder * 10 + digit - '0') % unit_] |= ByteSet::one(digit); });
    for (const auto& [after, set] : next) to_.add(rule, {to_.bytes(set), rest(after, left - 1)});
    return rule;
  }

  Symbol rest(uint32_t remainder, size_t left) {
    const auto known = rest_.find({remainder, left});
    if (known != rest_.end()) return known->second;
    const Symbol more = left == 0 ? to_.rule() : digits(remainder, left, ByteSet::range('0', '9'));
    const Symbol made = remainder == 0 && kMaxDigits - left >= least_ ? to_.optional(more) : more;
    rest_.emplace(std::pair(remainder, left), made);
    return made;
  }

  uint32_t unit_;
  size_t least_;
  IrBuilder& to_;
  std::map<std::pair<uint32_t, size_t>, Symbol> rest_;
};

// Numbers with at most so many digits after the point; more than 0.
Symbol decimals_above_zero(int64_t decimals, IrBuilder& to) {
  const Symbol digit = to.bytes(ByteSet::range('0', '9')), nonzero = to.bytes(ByteSet::range('1', '9'));
  const auto n = static_cast<size_t>(decimals);
  const Symbol whole = to.sequence({nonzero, to.repeat(digit, 0, kMaxDigits - 1)});
  const Symbol after = to.optional(to.sequence({to.literal("."), to.repeat(digit, 1, n)}));
  std::vector<Symbol> choices = {to.sequence({whole, after})};
  for (size_t zeros = 0; zeros < n; ++zeros) {
    choices.push_back(
        to.sequence({to.literal("0." + std::string(zeros, '0')), nonzero, to.repeat(digit, 0, n - zeros - 1)}));
  }
  return to.choice(choices);
}

std::string negated(const std::string& number) {
  return number == "0" ? number : number.starts_with('-') ? number.substr(1) : "-" + number;
}

// Multiples of an integer from `least` on: one by one as far as numbers have no more digits than `least`, and all
// longer ones. With the sign `minus` those below zero's other side. nullopt: too many of the former.
std::optional<Symbol> from(const Decimal& unit, const std::string& least, bool open, bool minus, IrBuilder& to) {
  const bool below_zero = least.starts_with('-');
  const size_t digits = below_zero ? 0 : std::min(least.find('.'), least.size());
  const auto value = scaled(unit, 0);
  if (!value || *value > kMaxInteger || digits >= kMaxDigits) return std::nullopt;
  const NumberRange range{.least = least,
                          .most = below_zero ? "0" : "1" + std::string(digits, '0'),
                          .least_open = open,
                          .most_open = !below_zero};
  const auto texts = listed({unit}, range, /*integer=*/true);
  if (!texts) return std::nullopt;
  const Symbol longer = Remainders(static_cast<uint32_t>(*value), digits + 1, to).positive();
  std::vector<Symbol> choices = {minus ? to.sequence({to.literal("-"), longer}) : longer};
  for (const std::string& text : *texts) choices.push_back(to.literal(minus ? negated(text) : text));
  return to.choice(choices);
}

}  // namespace

Result<Symbol> add_multiples(const std::vector<Decimal>& units, const NumberRange& range, bool integer, IrBuilder& to) {
  const auto unsupported =
      fail(ErrorCode::kUnsupported, "the keyword \"multipleOf\" is not supported with this value and these bounds");
  if (range.least && range.most) {
    const auto texts = listed(units, range, integer);
    if (!texts) return unsupported;
    std::vector<Symbol> literals;
    for (const std::string& text : *texts) literals.push_back(to.literal(text));
    return literals.empty() ? to.rule() : to.choice(literals);
  }
  if (units.size() != 1) return unsupported;
  std::vector<std::optional<Symbol>> sides;
  const auto power = units[0].power_of_ten();
  if (power && *power < 0 && -*power <= kMaxDecimals && !integer) {
    const bool at_zero = range.least.value_or("0") == "0" && range.most.value_or("0") == "0";
    if (!at_zero) return unsupported;
    const Symbol above = decimals_above_zero(-*power, to);
    if (!range.most) sides.push_back(above);
    if (!range.least) sides.push_back(to.sequence({to.literal("-"), above}));
    if (!range.least_open && !range.most_open) sides.push_back(to.literal("0"));
  } else {
    if (!range.most) sides.push_back(from(units[0], range.least.value_or("0"), range.least_open, false, to));
    if (!range.least) sides.push_back(from(units[0], negated(range.most.value_or("0")), range.most_open, true, to));
  }
  std::vector<Symbol> choices;
  for (const auto& side : sides) {
    if (!side) return unsupported;
    choices.push_back(*side);
  }
  return to.choice(choices);
}

}  // namespace quern::grammar::schema
