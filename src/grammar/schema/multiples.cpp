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
  Remainders(uint32_t unit, IrBuilder& to) : unit_(unit), to_(to) {}

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
    const Symbol made = remainder == 0 ? to_.optional(more) : more;
    rest_.emplace(std::pair(remainder, left), made);
    return made;
  }

  uint32_t unit_;
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
  const auto at_zero = [](const std::optional<std::string>& end) { return !end || *end == "0"; };
  if (units.size() != 1 || !at_zero(range.least) || !at_zero(range.most)) return unsupported;
  std::optional<Symbol> positive;
  const auto power = units[0].power_of_ten();
  if (const auto unit = scaled(units[0], 0); unit && *unit <= kMaxInteger) {
    positive = Remainders(static_cast<uint32_t>(*unit), to).positive();
  } else if (power && *power < 0 && -*power <= kMaxDecimals && !integer) {
    positive = decimals_above_zero(-*power, to);
  }
  if (!positive) return unsupported;
  std::vector<Symbol> choices;
  if (!range.most) choices.push_back(*positive);
  if (!range.least) choices.push_back(to.sequence({to.literal("-"), *positive}));
  if ((!range.least || !range.least_open) && (!range.most || !range.most_open)) choices.push_back(to.literal("0"));
  return to.choice(choices);
}

}  // namespace quern::grammar::schema
