#include "server/config/values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>

namespace quern::server {

namespace {

tl::unexpected<Error> not_wanted(const ConfigField& field, std::string_view text) {
  return fail_f(ErrorCode::kInvalidArgument, "wants {}, not '{}'", wanted(field), shown_value(text));
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
