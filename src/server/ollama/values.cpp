#include "server/ollama/values.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

namespace quern::server::ollama {

namespace {

struct Unit {
  std::string_view name;
  double seconds;
};
constexpr Unit kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\u00b5s", 1e-6}, {"\u03bcs", 1e-6},
                           {"ms", 1e-3}, {"s", 1},     {"m", 60},         {"h", 3600}};
constexpr int64_t kNanos = 1'000'000'000;
constexpr double kYear9999 = 253402300799;

// The number that `text` begins with, taken off; nullopt when there is none. No sign, no exponent.
std::optional<double> take_number(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, value, std::chars_format::fixed);
  if (error != std::errc{} || stop != text.data() + end) return std::nullopt;
  text.remove_prefix(end);
  return value;
}

// `part` in nanoseconds. As two numbers, since nanoseconds since 1970 end in the year 2262.
std::string rfc3339_text(int64_t seconds, int64_t part) {
  const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const int64_t of_day = (time - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), of_day / 3600,
                     of_day / 60 % 60, of_day % 60, part);
}

}  // namespace

std::string model_name(std::string_view asked) {
  std::string name = hub_name(asked);
  return name.starts_with("hf:") ? name : std::string(asked);
}

std::string hub_name(std::string_view asked) {
  constexpr std::string_view kLatest = ":latest";
  if (asked.ends_with(kLatest)) asked.remove_suffix(kLatest.size());
  for (const std::string_view host : {"hf.co/", "huggingface.co/"}) {
    if (asked.starts_with(host)) return fmt::format("hf:{}", asked.substr(host.size()));
  }
  return std::string(asked);
}

std::optional<double> parse_go_duration(std::string_view text) {
  double sign = 1;
  if (text.starts_with('-') || text.starts_with('+')) {
    sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
  }
  double sum = 0;
  bool first = true;
  while (first || !text.empty()) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    if (first && text.empty()) return sign * *number;  // without a unit: seconds
    first = false;
    const size_t end = std::min(text.find_first_of("0123456789."), text.size());
    const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const Unit& u) { return u.name == text.substr(0, end); });
    if (unit == std::end(kUnits)) return std::nullopt;
    text.remove_prefix(end);
    sum += *number * unit->seconds;
  }
  return sign * sum;
}

Result<std::optional<double>> read_keep_alive(const Json& value) {
  if (value.is_null()) return std::nullopt;
  std::optional<double> seconds;
  if (value.is_number()) seconds = value.get<double>();
  if (value.is_string()) seconds = parse_go_duration(value.get_ref<const std::string&>());
  if (!seconds || !std::isfinite(*seconds)) {
    return fail(ErrorCode::kInvalidArgument,
                "'keep_alive' wants seconds or a duration such as \"5m\", \"1h30m\" or -1 (for ever)");
  }
  return *seconds < 0 ? std::numeric_limits<double>::infinity() : *seconds;
}

std::string rfc3339(double seconds) {
  const double bounded = std::clamp(seconds, 0.0, kYear9999);
  const double whole = std::floor(bounded);
  return rfc3339_text(static_cast<int64_t>(whole), static_cast<int64_t>((bounded - whole) * 1e9));
}

std::string rfc3339_now() {
  const int64_t ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return rfc3339_text(ns / kNanos, ns % kNanos);
}

std::string parameter_size(uint64_t parameters) {
  const auto n = static_cast<double>(parameters);
  if (n >= 1e9) return fmt::format("{:.1f}B", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.2f}M", n / 1e6);
  if (n >= 1e3) return fmt::format("{:.0f}K", n / 1e3);
  return fmt::format("{}", parameters);
}

}  // namespace quern::server::ollama
