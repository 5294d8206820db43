#include "grammar/number_range.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "grammar/dfa.h"

namespace quern::grammar {
namespace {

constexpr size_t kExactDigits = 15;  // two decimals of so many digits are two doubles
constexpr int64_t kMaxPlaces = 30;   // behind a bound's point
constexpr int64_t kPlaces = 10;      // of a number, where no bound has more

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// 0.digits times 10 to the power of `point`; neither the first nor the last digit is 0. Zero has no digits.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;
  bool written_as_float = false;

  [[nodiscard]] int64_t places() const { return std::max<int64_t>(0, static_cast<int64_t>(digits.size()) - point); }

  void tidy() {
    digits.erase(digits.find_last_not_of('0') + 1);
    const size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
    digits.erase(0, zeros);
    point = digits.empty() ? 0 : point - static_cast<int64_t>(zeros);
    if (digits.empty()) negative = false;
  }
};

// One of the grammar of RFC 8259, 6. nullopt: another text.
std::optional<Decimal> parse_decimal(std::string_view text) {
  constexpr int64_t kMaxExponent = 1'000'000'000;
  Decimal d;
  size_t pos = 0;
  const auto take = [&](char c) { return pos < text.size() && text[pos] == c ? ++pos, true : false; };
  const auto take_digits = [&](std::string& to) {
    const size_t begin = pos;
    while (pos < text.size() && is_digit(text[pos])) ++pos;
    to += text.substr(begin, pos - begin);
    return pos > begin;
  };
  d.negative = take('-');
  if (!take_digits(d.digits) || (d.digits.size() > 1 && d.digits[0] == '0')) return std::nullopt;
  d.point = static_cast<int64_t>(d.digits.size());
  if (take('.')) {
    d.written_as_float = true;
    if (!take_digits(d.digits)) return std::nullopt;
  }
  if (take('e') || take('E')) {
    d.written_as_float = true;
    const bool minus = take('-');
    if (!minus) take('+');
    std::string exponent;
    if (!take_digits(exponent)) return std::nullopt;
    int64_t value = 0;
    for (const char c : exponent) value = std::min(value * 10 + (c - '0'), kMaxExponent);
    d.point += minus ? -value : value;
  }
  if (pos != text.size()) return std::nullopt;
  d.tidy();
  return d;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  const int sign = a.negative ? -1 : 1;
  if (a.digits.empty() || b.digits.empty()) return sign * (int{!a.digits.empty()} - int{!b.digits.empty()});
  if (a.point != b.point) return a.point < b.point ? -sign : sign;
  const int digits = a.digits.compare(b.digits);  // as a prefix is the smaller, and "12" < "123" here too
  return digits == 0 ? 0 : digits < 0 ? -sign : sign;
}

// Adds one to the last digit or takes one from it.
void step(Decimal& d, bool up) {
  const char from = up ? '9' : '0', to = up ? '0' : '9';
  size_t i = d.digits.size();
  while (i > 0 && d.digits[i - 1] == from) d.digits[--i] = to;
  if (i > 0) {
    d.digits[i - 1] = static_cast<char>(d.digits[i - 1] + (up ? 1 : -1));
  } else if (up) {
    d.digits.insert(d.digits.begin(), '1');
    ++d.point;
  }
}

struct Bound {
  Decimal value;
  bool open = false;
};

// Draws the bound of what may be a double inwards, to digits that a double tells apart.
void draw_inwards(Decimal& d, bool integer, bool is_most) {
  const bool grows = d.negative == is_most;
  if (d.digits.size() > kExactDigits) {
    d.digits.resize(kExactDigits);
    if (grows) step(d, true);
  }
  // Integers as large as this are compared exactly, with a double that is not.
  if (integer && d.point > static_cast<int64_t>(kExactDigits)) {
    d.digits.resize(std::max(d.digits.size(), kExactDigits), '0');
    step(d, grows);
  }
  d.tidy();
}

// Texts of numbers between two bounds, as an automaton that compares digit by digit.
class RangeStates {
 public:
  RangeStates(const Bound& least, const Bound& most, int64_t places) : places_(places) {
    const Bound zero{.value = {}, .open = true};
    if (!most.value.negative) {
      sides_[0].low = edge(least.value.negative ? Bound{} : least);
      sides_[0].high = edge(most);
      sides_[0].exists = true;
    }
    if (least.value.negative) {
      sides_[1].low = edge(most.value.negative ? most : zero);
      sides_[1].high = edge(least);
      sides_[1].exists = true;
    }
  }

  std::vector<Dfa::State> run() {
    states_.emplace_back();
    if (sides_[1].exists) {
      const uint32_t minus = number({.negative = true});
      states_[0].edges.push_back({'-', '-', minus});
    }
    if (sides_[0].exists) expand(0, {.negative = false});
    for (size_t i = 0; i < keys_.size(); ++i) {
      const auto [key, at] = keys_[i];
      expand(at, key);
    }
    return std::move(states_);
  }

 private:
  // A bound's size: its digits before and behind the point.
  struct Edge {
    std::string whole, fraction;
    bool open = false;
  };
  struct Side {
    Edge low, high;
    bool exists = false;
  };
  enum class Phase : uint8_t { kFirst, kWhole, kPoint, kFraction };
  struct Key {
    bool negative = false;
    Phase phase = Phase::kFirst;
    uint32_t n = 0;         // digits before, then behind the point
    int low = 0, high = 0;  // how the digits compare with as many of the bound's
    bool zero = false;      // the whole is "0"
    auto operator<=>(const Key&) const = default;
  };

  static Edge edge(const Bound& bound) {
    const Decimal& d = bound.value;
    std::string digits = d.digits;
    if (d.point < 0) digits.insert(0, static_cast<size_t>(-d.point), '0');
    const auto n_whole = static_cast<size_t>(std::max<int64_t>(d.point, 0));
    if (digits.size() < n_whole) digits.resize(n_whole, '0');
    return {n_whole == 0 ? "0" : digits.substr(0, n_whole), digits.substr(n_whole), bound.open};
  }

  static int next_compare(int so_far, std::string_view bound, size_t at, char digit) {
    if (so_far != 0) return so_far;
    const char other = at < bound.size() ? bound[at] : '0';
    return digit < other ? -1 : digit > other ? 1 : 0;
  }

  // Of the whole: that of more digits is the larger.
  static int whole_compare(const Key& key, const Edge& edge, int digits) {
    return key.n < edge.whole.size() ? -1 : key.n > edge.whole.size() ? 1 : digits;
  }

  [[nodiscard]] bool accepts(const Key& key) const {
    if (key.phase != Phase::kWhole && key.phase != Phase::kFraction) return false;
    const Side& side = sides_[key.negative ? 1 : 0];
    const auto compared = [&](const Edge& e, int digits) {
      const bool whole = key.phase == Phase::kWhole;
      const int so_far = whole ? whole_compare(key, e, digits) : digits;
      return so_far == 0 && e.fraction.size() > (whole ? 0 : key.n) ? -1 : so_far;
    };
    const int low = compared(side.low, key.low), high = compared(side.high, key.high);
    return (low > 0 || (low == 0 && !side.low.open)) && (high < 0 || (high == 0 && !side.high.open));
  }

  uint32_t number(const Key& key) {
    const auto [at, fresh] = numbers_.try_emplace(key, static_cast<uint32_t>(states_.size()));
    if (fresh) {
      states_.push_back({.edges = {}, .accepts = accepts(key)});
      keys_.push_back({key, at->second});
    }
    return at->second;
  }

  void expand(uint32_t at, const Key& key) {
    const Side& side = sides_[key.negative ? 1 : 0];
    if (key.phase == Phase::kWhole && places_ > 0) {
      Key point = key;
      point.phase = Phase::kPoint;
      point.low = whole_compare(key, side.low, key.low);
      point.high = whole_compare(key, side.high, key.high);
      point.n = 0;
      point.zero = false;
      const uint32_t to = number(point);
      states_[at].edges.push_back({'.', '.', to});
    }
    const bool fraction = key.phase == Phase::kPoint || key.phase == Phase::kFraction;
    if (fraction ? key.n >= places_ : key.zero || key.n > side.high.whole.size()) return;
    for (char digit = '0'; digit <= '9'; ++digit) {
      Key next = key;
      next.phase = fraction ? Phase::kFraction : Phase::kWhole;
      next.low = next_compare(key.low, fraction ? side.low.fraction : side.low.whole, key.n, digit);
      next.high = next_compare(key.high, fraction ? side.high.fraction : side.high.whole, key.n, digit);
      next.n = key.n + 1;
      next.zero = key.phase == Phase::kFirst && digit == '0';
      const uint32_t to = number(next);
      const auto cp = static_cast<uint32_t>(digit);
      states_[at].edges.push_back({cp, cp, to});
    }
  }

  int64_t places_;
  Side sides_[2];  // not negative, negative
  std::vector<Dfa::State> states_;
  std::map<Key, uint32_t> numbers_;
  std::vector<std::pair<Key, uint32_t>> keys_;
};

Bound limit(std::string_view text, bool open) {
  return {.value = parse_decimal(text).value_or(Decimal{}), .open = open};
}

Result<Bound> read_bound(const std::string& text, bool open, bool integer, bool is_most) {
  auto value = parse_decimal(text);
  if (!value) return fail_f(ErrorCode::kInvalidArgument, "\"{}\" is not a number", text);
  if (!integer || value->written_as_float) draw_inwards(*value, integer, is_most);
  return Bound{std::move(*value), open};
}

// Of the two bounds the inner one.
Bound inner(const Bound& a, const Bound& b, bool is_most) {
  const int order = compare(a.value, b.value);
  if (order == 0) return {a.value, a.open || b.open};
  return (order < 0) == is_most ? a : b;
}

}  // namespace

Result<Symbol> add_number_range(const NumberRange& range, bool integer, IrBuilder& to) {
  const Bound lowest = integer ? limit("-9223372036854775808", false) : limit("-1e15", true);
  const Bound highest = integer ? limit("9223372036854775807", false) : limit("1e15", true);
  Bound least = lowest, most = highest;
  int64_t places = integer ? 0 : kPlaces, exact_places = kMaxPlaces + kPlaces;
  for (const bool is_most : {false, true}) {
    const auto& text = is_most ? range.most : range.least;
    if (!text) continue;
    const bool open = is_most ? range.most_open : range.least_open;
    QUERN_TRY(const Bound bound, read_bound(*text, open, integer, is_most));
    const bool beyond = is_most ? compare(bound.value, lowest.value) < 0 : compare(bound.value, highest.value) > 0;
    if (beyond) {
      return fail_f(ErrorCode::kUnsupported, "a bound of {}: {} are supported", *text,
                    integer ? "integers of 64 bits" : "numbers of 15 digits before the point");
    }
    Bound& kept = is_most ? most : least;
    kept = inner(kept, bound, is_most);
    if (compare(kept.value, bound.value) != 0) continue;
    if (bound.value.places() > kMaxPlaces) {
      return fail_f(ErrorCode::kUnsupported, "a bound of {}: {} digits behind the point are supported", *text,
                    kMaxPlaces);
    }
    if (!integer) places = std::max(places, bound.value.places() + 2);
    // More digits than these may be the bound itself once they are read as a double.
    if (open && !bound.value.digits.empty()) {
      exact_places = std::min(exact_places, static_cast<int64_t>(kExactDigits) - bound.value.point);
    }
  }
  places = std::max<int64_t>(0, std::min(places, exact_places));
  return Dfa::of(RangeStates(least, most, places).run()).write(to);
}

Symbol add_integer(IrBuilder& to) {
  const auto symbol = add_number_range({}, true, to);
  return symbol ? *symbol : to.rule();
}

Symbol add_number(IrBuilder& to) {
  const Symbol digit = to.bytes(ByteSet::range('0', '9'));
  const Symbol first = to.bytes(ByteSet::range('1', '9'));
  const Symbol sign = to.bytes(ByteSet::one('+') | ByteSet::one('-'));
  const Symbol exponent = to.bytes(ByteSet::one('e') | ByteSet::one('E'));
  return to.sequence({
      to.optional(to.literal("-")),
      to.choice({to.literal("0"), to.sequence({first, to.repeat(digit, 0, 14)})}),
      to.optional(to.sequence({to.literal("."), to.repeat(digit, 1, 10)})),
      to.optional(to.sequence({exponent, to.optional(sign), to.repeat(digit, 1, 2)})),
  });
}

}  // namespace quern::grammar
