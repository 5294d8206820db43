#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/nearest.h"

namespace quern::cli {

namespace {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// The type of one value: the element of a list, the content of an optional, else the type itself.
template <class T>
struct ValueOf {
  using Type = T;
};
template <class T>
struct ValueOf<std::vector<T>> {
  using Type = T;
};
template <class T>
struct ValueOf<std::optional<T>> {
  using Type = T;
};

bool is_positional(const Field& field) {
  return !field.flag.starts_with('-');
}

// "-n,--tokens" is called --tokens in messages.
std::string_view long_name(const Field& field) {
  const size_t comma = field.flag.rfind(',');
  return comma == std::string_view::npos ? field.flag : field.flag.substr(comma + 1);
}

std::string number_text(double value) {
  return fmt::format("{:.12g}", value);
}

// "a whole number from 1 to 64"; empty bounds are left out.
template <class T>
std::string wanted(const Limits& limits) {
  std::string text = std::is_integral_v<T> ? "a whole number" : "a number";
  const double low = std::is_unsigned_v<T> ? std::max(0.0, limits.min) : limits.min;
  const bool has_low = std::isfinite(low), has_high = std::isfinite(limits.max);
  if (has_low && has_high) return fmt::format("{} from {} to {}", text, number_text(low), number_text(limits.max));
  if (has_low) return fmt::format("{} of at least {}", text, number_text(low));
  if (has_high) return fmt::format("{} of at most {}", text, number_text(limits.max));
  return text;
}

template <class T>
Result<T> read_value(const Field& field, const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    const auto& choices = field.limits.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
      return fail_f(ErrorCode::kInvalidArgument, "{} wants one of {}, not '{}'", long_name(field),
                    fmt::join(choices, ", "), text);
    }
    return text;
  } else {
    T value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    // Written so that NaN is outside every bound.
    const bool inside =
        static_cast<double>(value) >= field.limits.min && static_cast<double>(value) <= field.limits.max;
    if (error != std::errc{} || stop != end || !inside) {
      return fail_f(ErrorCode::kInvalidArgument, "{} wants {}, not '{}'", long_name(field), wanted<T>(field.limits),
                    text);
    }
    return value;
  }
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

template <class T>
Status assign(const Field& field, const std::vector<std::string>& texts, T& to) {
  using Value = typename ValueOf<T>::Type;
  if constexpr (IsVector<T>::value) {
    to.clear();
    for (const std::string& text : texts) {
      const auto parts = std::is_same_v<Value, std::string> ? std::vector{text} : split_commas(text);
      for (const std::string& part : parts) {
        QUERN_TRY(Value value, read_value<Value>(field, part));
        to.push_back(std::move(value));
      }
    }
  } else {
    if (texts.size() != 1) {
      return fail_f(ErrorCode::kInvalidArgument, "{} is given {} times", long_name(field), texts.size());
    }
    QUERN_TRY(to, read_value<Value>(field, texts.front()));
  }
  return {};
}

// Declares the field to CLI11, which only collects texts; values are read by assign() so that every message has one
// form.
struct Binding {
  const Field* field;
  CLI::Option* option;
};

Binding bind(CLI::App& app, const Field& field) {
  const std::string name(field.flag);
  if (auto* flag = std::get_if<bool*>(&field.to)) {
    return {&field, app.add_flag_callback(name, [to = *flag] { *to = true; })};
  }
  if (!field.limits.implied.empty()) {
    auto* option = app.add_flag(fmt::format("{}{{{}}}", name, field.limits.implied));
    return {&field, option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)};
  }
  CLI::Option* option = app.add_option(name, CLI::callback_t([](const CLI::results_t&) { return true; }));
  const bool list = std::visit([](auto* to) { return IsVector<std::remove_pointer_t<decltype(to)>>::value; }, field.to);
  if (is_positional(field) && list) {
    // Of those given; none at all is judged below. Without extra arguments CLI11 takes only the first.
    option->expected(1, 1 << 20)->allow_extra_args();
  } else {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);  // repetition is judged by assign()
  }
  return {&field, option};
}

tl::unexpected<Error> unexpected(const std::string& argument, std::span<const Field> fields) {
  if (!argument.starts_with('-')) {
    return fail_f(ErrorCode::kInvalidArgument, "one argument too many: '{}'", argument);
  }
  std::vector<std::string_view> names;
  for (const Field& field : fields) {
    if (!is_positional(field)) names.push_back(long_name(field));
  }
  const auto nearest = nearest_name(std::string_view(argument).substr(0, argument.find('=')), names);
  return fail_f(ErrorCode::kInvalidArgument, "no option {}{}", argument,
                nearest ? fmt::format("; did you mean {}?", *nearest) : "");
}

template <class T>
nlohmann::json default_json(const T& value) {
  if constexpr (IsOptional<T>::value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  } else if constexpr (std::is_same_v<T, float>) {
    return nlohmann::json::parse(fmt::format("{}", value));  // 0.8, not the nearest float's value as a double
  } else {
    return nlohmann::json(value);
  }
}

template <class T>
std::string_view type_name() {
  using Value = typename ValueOf<T>::Type;
  if constexpr (std::is_same_v<T, bool>) return "flag";
  if constexpr (std::is_same_v<Value, std::string>) return IsVector<T>::value ? "strings" : "string";
  if constexpr (std::is_integral_v<Value>) return IsVector<T>::value ? "integers" : "integer";
  return IsVector<T>::value ? "numbers" : "number";
}

std::string_view placeholder(std::string_view type) {
  if (type == "flag") return "";
  if (type == "integer" || type == "number") return "N";
  if (type == "integers" || type == "numbers") return "N,N,...";
  return "TEXT";
}

std::string default_text(const nlohmann::json& value) {
  if (value.is_null() || value.is_boolean() || (value.is_string() && value.get<std::string>().empty())) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return number_text(value.get<double>());
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& item : value) text += (text.empty() ? "" : ",") + default_text(item);
  return text;
}

// The line of one field: what it takes, what it does, then bounds and default in brackets.
std::string describe_field(const Field& field) {
  const nlohmann::json json = fields_to_json({&field, 1}).front();
  std::string left = "  " + std::string(field.flag);
  if (const size_t comma = left.find(','); comma != std::string::npos) left.insert(comma + 1, " ");
  if (!is_positional(field)) {
    const auto hole = placeholder(json["type"].get<std::string>());
    if (!hole.empty()) left += field.limits.implied.empty() ? fmt::format(" {}", hole) : fmt::format("[={}]", hole);
  }
  std::string notes;
  const auto note = [&](const std::string& text) { notes += (notes.empty() ? "" : "; ") + text; };
  if (!field.limits.choices.empty()) note(fmt::format("one of {}", fmt::join(field.limits.choices, ", ")));
  if (json.contains("min") && json.contains("max")) {
    note(fmt::format("{} to {}", number_text(field.limits.min), number_text(field.limits.max)));
  } else if (json.contains("min")) {
    note(fmt::format("at least {}", number_text(field.limits.min)));
  } else if (json.contains("max")) {
    note(fmt::format("at most {}", number_text(field.limits.max)));
  }
  if (const std::string text = default_text(json["default"]); !text.empty()) note("default " + text);
  if (!field.limits.implied.empty()) note(fmt::format("alone: {}", field.limits.implied));
  if (!notes.empty()) notes = " (" + notes + ")";
  return fmt::format("{:<26}{}{}{}\n", left, left.size() >= 26 ? " " : "", field.help, notes);
}

}  // namespace

Status parse_fields(std::span<const Field> fields, std::span<const std::string> args) {
  std::vector<Binding> bindings;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();  // judged below, before anything is said to be missing
  try {
    for (const Field& field : fields) bindings.push_back(bind(app, field));
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string text = error.what();
    return fail_f(ErrorCode::kInvalidArgument, "{} wants a value", text.substr(0, text.find(':')));
  } catch (const CLI::ConversionError& error) {  // only flags are converted there
    return fail_f(ErrorCode::kInvalidArgument, "a flag takes no value: {}", error.what());
  } catch (const CLI::Error& error) {
    return fail(ErrorCode::kInvalidArgument, error.what());
  }
  auto extras = app.remaining();
  if (const auto mark = std::find(extras.begin(), extras.end(), "--"); mark != extras.end()) extras.erase(mark);
  if (!extras.empty()) return unexpected(extras.front(), fields);
  for (const Binding& binding : bindings) {
    if (binding.option->count() == 0 && binding.field->limits.required) {
      return fail_f(ErrorCode::kInvalidArgument, "{} is missing", long_name(*binding.field));
    }
    if (binding.option->count() == 0 || std::holds_alternative<bool*>(binding.field->to)) continue;
    QUERN_CHECK_OK(std::visit(
        [&](auto* to) -> Status {
          if constexpr (std::is_same_v<decltype(to), bool*>) {
            return {};
          } else {
            return assign(*binding.field, binding.option->results(), *to);
          }
        },
        binding.field->to));
  }
  return {};
}

std::string describe_fields(std::span<const Field> fields) {
  std::string arguments, options;
  for (const Field& field : fields) (is_positional(field) ? arguments : options) += describe_field(field);
  std::string text;
  if (!arguments.empty()) text += "\nArguments:\n" + arguments;
  return text + "\nOptions:\n" + options +
         "  -h, --help              Print this text (with --json: as JSON) and exit\n";
}

nlohmann::json fields_to_json(std::span<const Field> fields) {
  auto list = nlohmann::json::array();
  for (const Field& field : fields) {
    auto json = std::visit(
        [](auto* to) {
          return nlohmann::json{{"type", type_name<std::remove_pointer_t<decltype(to)>>()},
                                {"default", default_json(*to)}};
        },
        field.to);
    json["flag"] = field.flag;
    json["help"] = field.help;
    json["positional"] = is_positional(field);
    json["required"] = field.limits.required;
    if (std::isfinite(field.limits.min)) json["min"] = field.limits.min;
    if (std::isfinite(field.limits.max)) json["max"] = field.limits.max;
    if (!field.limits.choices.empty()) json["choices"] = field.limits.choices;
    if (!field.limits.implied.empty()) json["implied"] = field.limits.implied;
    list.push_back(std::move(json));
  }
  return list;
}

std::string positional_usage(std::span<const Field> fields) {
  std::string text;
  for (const Field& field : fields) {
    if (is_positional(field))
      text += field.limits.required ? fmt::format(" {}", field.flag) : fmt::format(" [{}]", field.flag);
  }
  return text;
}

}  // namespace quern::cli
