#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

namespace quern {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimeUnits[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 1e-3}};

struct SizeUnit {
  std::string_view name;
  uint64_t factor;
};
constexpr uint64_t kKi = 1024, kK = 1000;
constexpr SizeUnit kSizeUnits[] = {
    {"TiB", kKi* kKi* kKi* kKi}, {"GiB", kKi* kKi* kKi}, {"MiB", kKi* kKi}, {"KiB", kKi}, {"TB", kK* kK* kK* kK},
    {"GB", kK* kK* kK},          {"MB", kK* kK},         {"KB", kK},        {"kB", kK},   {"B", 1}};
constexpr double kMostBytes = 9.2e18;  // below 2^63, whatever reads it as signed
constexpr size_t kMostShown = 60;      // of a wrong value in a message

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Removes the digits and points that `text` begins with; nullopt where they are no number.
std::optional<double> take_number(std::string_view& text) {
  const auto* end = std::find_if(text.begin(), text.end(), [](char c) { return !is_digit(c) && c != '.'; });
  double value = 0;
  const auto [stop, error] = std::from_chars(text.begin(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.begin()));
  return value;
}

std::string_view take_unit(std::string_view& text) {
  const size_t n = std::min(text.find_first_of("0123456789."), text.size());
  const std::string_view unit = text.substr(0, n);
  text.remove_prefix(n);
  return unit;
}

}  // namespace

std::string shown_value(std::string_view text) {
  return text.size() <= kMostShown ? std::string(text) : std::string(text.substr(0, kMostShown)) + "...";
}

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [whole = text] {
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is not a duration like 300, 5m or 1h30m", shown_value(whole));
  };
  double sum = 0;
  size_t next = 0;  // units go from large to small, each at most once
  bool alone = true;
  while (true) {
    const auto number = take_number(text);
    if (!number) return wrong();
    if (text.empty() && alone) return Duration{*number};
    const std::string_view name = take_unit(text);
    const Unit* unit = std::find_if(std::begin(kTimeUnits) + next, std::end(kTimeUnits),
                                    [&](const Unit& u) { return u.name == name; });
    if (unit == std::end(kTimeUnits)) return wrong();
    // Milliseconds are divided: 250ms is then the double nearest to 0.25.
    sum += unit->name == "ms" ? *number / 1000 : *number * unit->factor;
    next = static_cast<size_t>(unit - kTimeUnits) + 1;
    alone = false;
    if (text.empty()) return Duration{sum};
  }
}

std::string duration_text(Duration value) {
  if (std::isinf(value.seconds)) return "forever";
  if (value.seconds != std::floor(value.seconds) || value.seconds >= 1e15) {
    const double ms = value.seconds * 1000;
    return ms == std::floor(ms) && ms < 1e15 ? fmt::format("{}ms", static_cast<uint64_t>(ms))
                                             : fmt::format("{:f}s", value.seconds);
  }
  auto left = static_cast<uint64_t>(value.seconds);
  if (left == 0) return "0";
  std::string text;
  for (const Unit& unit : kTimeUnits) {
    const auto factor = static_cast<uint64_t>(unit.factor);
    if (factor == 0 || left < factor) continue;
    text += fmt::format("{}{}", left / factor, unit.name);
    left %= factor;
  }
  return text;
}

Result<uint64_t> parse_bytes(std::string_view text) {
  const auto wrong = [whole = text] {
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is not a size like 1048576, 512MB or 2GiB", shown_value(whole));
  };
  const std::string_view digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number || rest.find_first_of("0123456789.") != std::string_view::npos) return wrong();
  uint64_t factor = 1;
  if (!rest.empty()) {
    const SizeUnit* unit =
        std::find_if(std::begin(kSizeUnits), std::end(kSizeUnits), [&](const SizeUnit& u) { return u.name == rest; });
    if (unit == std::end(kSizeUnits)) return wrong();
    factor = unit->factor;
  }
  // NaN cannot come from digits and points.
  if (*number * static_cast<double>(factor) > kMostBytes) return wrong();
  if (digits.size() + rest.size() != text.size()) return static_cast<uint64_t>(*number * static_cast<double>(factor));
  uint64_t whole = 0;
  std::from_chars(digits.begin(), digits.end(), whole);
  return whole * factor;  // judged above
}

std::string bytes_text(uint64_t bytes) {
  for (const SizeUnit& unit : std::span(kSizeUnits).first(4)) {
    if (bytes >= unit.factor && bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
  }
  return fmt::format("{}", bytes);
}

}  // namespace quern
