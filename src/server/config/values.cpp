#include "server/config/values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>

#include "base/checked.h"

namespace quern::server {

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

std::string shown(std::string_view text) {
  return text.size() <= kMostShown ? std::string(text) : std::string(text.substr(0, kMostShown)) + "...";
}

tl::unexpected<Error> not_wanted(const ConfigField& field, std::string_view text) {
  return fail_f(ErrorCode::kInvalidArgument, "wants {}, not '{}'", wanted(field), shown(text));
}

bool inside(const ConfigLimits& limits, double value) {  // false for NaN
  return value >= limits.min && value <= limits.max;
}

std::optional<size_t> word_index(const ConfigField& field, std::string_view text) {
  const auto& words = field.limits.words;
  const auto at = std::find(words.begin(), words.end(), text);
  if (at == words.end()) return std::nullopt;
  return static_cast<size_t>(at - words.begin());
}

bool read(const ConfigField&, std::string_view text, bool& to) {
  if (text != "true" && text != "false") return false;
  to = text == "true";
  return true;
}

template <class Number>
  requires(std::is_same_v<Number, uint32_t> || std::is_same_v<Number, double>)
bool read(const ConfigField& field, std::string_view text, Number& to) {
  Number value{};
  const auto [stop, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || stop != text.end() || !inside(field.limits, value)) return false;
  to = value;
  return true;
}

bool read(const ConfigField& field, std::string_view text, uint8_t& to) {
  const auto index = word_index(field, text);
  if (index) to = static_cast<uint8_t>(*index);
  return index.has_value();
}

bool read(const ConfigField&, std::string_view text, std::string& to) {
  if (text.find('\0') != std::string_view::npos) return false;
  to = text;
  return true;
}

bool read(const ConfigField& field, std::string_view text, Duration& to) {
  const bool forever = text == "forever" && word_index(field, text);
  const auto value = forever ? Result<Duration>(Duration{INFINITY}) : parse_duration(text);
  if (!value || (!forever && !inside(field.limits, value->seconds))) return false;
  to = *value;
  return true;
}

bool read(const ConfigField& field, std::string_view text, ByteLimit& to) {
  if (word_index(field, text)) {
    to = {text == "auto" ? ByteLimit::Kind::kAuto : ByteLimit::Kind::kNone, 0};
    return true;
  }
  const auto value = parse_bytes(text);
  if (!value || !inside(field.limits, static_cast<double>(*value))) return false;
  to = {ByteLimit::Kind::kBytes, *value};
  return true;
}

std::string range_text(const ConfigLimits& limits, auto&& text_of) {
  const bool high = std::isfinite(limits.max);
  if (high) return fmt::format(" from {} to {}", text_of(limits.min), text_of(limits.max));
  return limits.min > 0 ? fmt::format(" of at least {}", text_of(limits.min)) : "";
}

std::string number_text(double value) {
  return fmt::format("{:.12g}", value);
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [whole = text] {
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is not a duration like 300, 5m or 1h30m", shown(whole));
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
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is not a size like 1048576, 512MB or 2GiB", shown(whole));
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

std::string flag_of(const ConfigField& field) {
  std::string flag = "--" + std::string(field.key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

bool is_list(const ConfigField& field) {
  return std::holds_alternative<std::vector<std::string>*>(field.to);
}

std::string wanted(const ConfigField& field) {
  const ConfigLimits& limits = field.limits;
  const std::string words =
      limits.words.empty() ? std::string() : fmt::format(", or {}", fmt::join(limits.words, " or "));
  return std::visit(
      [&](auto* to) -> std::string {
        using T = std::remove_pointer_t<decltype(to)>;
        if constexpr (std::is_same_v<T, bool>) {
          return "true or false";
        } else if constexpr (std::is_same_v<T, uint32_t>) {
          return "a whole number" + range_text(limits, number_text);
        } else if constexpr (std::is_same_v<T, double>) {
          return "a number" + range_text(limits, number_text);
        } else if constexpr (std::is_same_v<T, uint8_t>) {
          return fmt::format("one of {}", fmt::join(limits.words, ", "));
        } else if constexpr (std::is_same_v<T, Duration>) {
          return "a duration (300, 5m, 1h30m)" + range_text(limits, [](double s) { return duration_text({s}); }) +
                 words;
        } else if constexpr (std::is_same_v<T, ByteLimit>) {
          return "a size (512MB, 2GiB)" +
                 range_text(limits, [](double b) { return bytes_text(static_cast<uint64_t>(b)); }) + words;
        } else {
          return is_list(field) ? "a list of texts" : "a text";
        }
      },
      field.to);
}

Status assign(const ConfigField& field, std::span<const std::string> texts) {
  if (auto* list = std::get_if<std::vector<std::string>*>(&field.to)) {
    (*list)->assign(texts.begin(), texts.end());
    return {};
  }
  if (texts.size() != 1) return fail_f(ErrorCode::kInvalidArgument, "wants one value, not {}", texts.size());
  const std::string& text = texts.front();
  return std::visit(
      [&](auto* to) -> Status {
        if constexpr (!std::is_same_v<decltype(to), std::vector<std::string>*>) {
          if (!read(field, text, *to)) return not_wanted(field, text);
        }
        return {};
      },
      field.to);
}

std::string value_text(const ConfigField& field) {
  return std::visit(
      [&](auto* to) -> std::string {
        using T = std::remove_pointer_t<decltype(to)>;
        if constexpr (std::is_same_v<T, bool>) {
          return *to ? "true" : "false";
        } else if constexpr (std::is_same_v<T, uint32_t> || std::is_same_v<T, double>) {
          return fmt::format("{}", *to);
        } else if constexpr (std::is_same_v<T, uint8_t>) {
          return std::string(field.limits.words[*to]);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return *to;
        } else if constexpr (std::is_same_v<T, Duration>) {
          return duration_text(*to);
        } else if constexpr (std::is_same_v<T, ByteLimit>) {
          if (to->kind == ByteLimit::Kind::kBytes) return bytes_text(to->bytes);
          return to->kind == ByteLimit::Kind::kAuto ? "auto" : "none";
        } else {
          return fmt::format("{}", fmt::join(*to, ", "));
        }
      },
      field.to);
}

}  // namespace quern::server
