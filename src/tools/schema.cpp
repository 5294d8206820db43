#include "tools/schema.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/nearest.h"
#include "grammar/regex.h"
#include "text/utf8.h"

namespace quern::toolbox {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxProblems = 8;
constexpr std::string_view kTypes[] = {"string", "integer", "number", "boolean", "array", "object", "null"};
constexpr std::string_view kNotes[] = {"title", "description", "default", "examples", "$schema"};
constexpr std::string_view kBounds[] = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"};
constexpr std::string_view kStructure[] = {"type",  "enum",   "properties", "required", "additionalProperties",
                                           "items", "pattern"};

template <class Names>
bool among(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

tl::unexpected<Error> malformed(std::string_view path, std::string_view what) {
  return fail_f(ErrorCode::kInvalidArgument, "the schema{}{}: {}", path.empty() ? "" : " of ", path, what);
}

Status check_type(const Json& type, std::string_view path) {
  const auto known = [](const Json& name) { return name.is_string() && among(kTypes, name.get<std::string>()); };
  if (known(type) || (type.is_array() && !type.empty() && std::all_of(type.begin(), type.end(), known))) return {};
  return malformed(path, fmt::format("type is one of {}", fmt::join(kTypes, ", ")));
}

Status check_pattern(const Json& pattern, std::string_view path) {
  if (!pattern.is_string()) return malformed(path, "pattern must be a text");
  const auto dfa = grammar::regex_dfa(pattern.get_ref<const std::string&>());
  return dfa ? Status() : malformed(path, dfa.error().message);
}

// Keyword by keyword; nesting is bounded, since it comes from a file or a program.
Status check_node(const Json& schema, const std::string& path, size_t depth) {
  if (!schema.is_object()) return malformed(path, "must be an object");
  if (depth > kMaxArgumentDepth) return malformed(path, "is nested too deep");
  for (const auto& [key, value] : schema.items()) {
    if (among(kNotes, key)) continue;
    if (!among(kBounds, key) && !among(kStructure, key)) {
      return fail_f(ErrorCode::kUnsupported, "the schema{}{}: the keyword '{}' is not supported for tools",
                    path.empty() ? "" : " of ", path, key);
    }
    if (among(kBounds, key) && !value.is_number()) return malformed(path, fmt::format("{} must be a number", key));
    if (key == "type") QUERN_CHECK_OK(check_type(value, path));
    if ((key == "enum" || key == "required") && !value.is_array()) {
      return malformed(path, fmt::format("{} must be a list", key));
    }
    if (key == "required" && !std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); })) {
      return malformed(path, "required must be a list of names");
    }
    if (key == "additionalProperties" && !value.is_boolean()) {
      return malformed(path, "additionalProperties must be true or false");
    }
    if (key == "pattern") QUERN_CHECK_OK(check_pattern(value, path));
    if (key == "items") QUERN_CHECK_OK(check_node(value, path + "[]", depth + 1));
    if (key == "properties") {
      if (!value.is_object()) return malformed(path, "properties must be an object");
      for (const auto& [name, property] : value.items()) {
        QUERN_CHECK_OK(check_node(property, path.empty() ? name : path + "." + name, depth + 1));
      }
    }
  }
  return {};
}

bool is_whole(const Json& value) {
  constexpr double kAllWhole = 9007199254740992;  // 2^53
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double d = value.get<double>();
  return std::fabs(d) <= kAllWhole && d == std::floor(d);
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return is_whole(value);
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  return value.is_null();
}

std::string_view kind_of(const Json& value) {
  if (value.is_string()) return "a text";
  if (value.is_number_integer()) return "a whole number";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  if (value.is_array()) return "a list";
  return value.is_object() ? "an object" : "null";
}

std::string types_text(const Json& type) {
  if (type.is_string()) return type.get<std::string>();
  std::vector<std::string> names;
  for (const Json& name : type) names.push_back(name.get<std::string>());
  return fmt::format("{}", fmt::join(names, " or "));
}

size_t characters(const std::string& text) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++n) i += utf8_decode(text, i).len;
  return n;
}

class Checker {
 public:
  std::vector<std::string> problems;

  void check(const Json& schema, const Json& value, const std::string& path) {
    if (problems.size() >= kMaxProblems) return;
    if (const auto type = schema.find("type"); type != schema.end() && !fits(*type, value)) {
      problems.push_back(fmt::format("{} wants {}, not {}", path, types_text(*type), kind_of(value)));
      return;
    }
    if (const auto list = schema.find("enum");
        list != schema.end() && std::find(list->begin(), list->end(), value) == list->end()) {
      problems.push_back(fmt::format("{} wants one of {}", path, list->dump()));
      return;
    }
    if (value.is_number()) bounds(schema, value.get<double>(), path, "minimum", "maximum", "");
    if (value.is_string()) {
      const auto n = static_cast<double>(characters(value.get_ref<const std::string&>()));
      bounds(schema, n, path, "minLength", "maxLength", " characters");
      pattern(schema, value.get_ref<const std::string&>(), path);
    }
    if (value.is_array()) array(schema, value, path);
    if (value.is_object()) object(schema, value, path);
  }

 private:
  static bool fits(const Json& type, const Json& value) {
    if (type.is_string()) return has_type(value, type.get_ref<const std::string&>());
    return std::any_of(type.begin(), type.end(),
                       [&](const Json& t) { return has_type(value, t.get_ref<const std::string&>()); });
  }

  void bounds(const Json& schema, double value, const std::string& path, const char* least, const char* most,
              std::string_view unit) {
    const auto low = schema.find(least), high = schema.find(most);
    const std::string_view has = unit.empty() ? "is" : "has";
    if (low != schema.end() && !(value >= low->get<double>())) {
      problems.push_back(
          fmt::format("{} {} {:g}{}, at least {:g} is wanted", path, has, value, unit, low->get<double>()));
    }
    if (high != schema.end() && !(value <= high->get<double>())) {
      problems.push_back(
          fmt::format("{} {} {:g}{}, at most {:g} is allowed", path, has, value, unit, high->get<double>()));
    }
  }

  void pattern(const Json& schema, const std::string& value, const std::string& path) {
    const auto at = schema.find("pattern");
    if (at == schema.end()) return;
    const auto dfa = grammar::regex_dfa(at->get_ref<const std::string&>());
    if (!dfa || !dfa->matches(value)) problems.push_back(fmt::format("{} must match {}", path, at->dump()));
  }

  void array(const Json& schema, const Json& value, const std::string& path) {
    bounds(schema, static_cast<double>(value.size()), path, "minItems", "maxItems", " items");
    const auto items = schema.find("items");
    if (items == schema.end()) return;
    for (size_t i = 0; i < value.size(); ++i) check(*items, value[i], fmt::format("{}[{}]", path, i));
  }

  void object(const Json& schema, const Json& value, const std::string& path) {
    const auto properties = schema.find("properties");
    const auto within = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
    if (const auto required = schema.find("required"); required != schema.end()) {
      for (const Json& name : *required) {
        const auto& text = name.get_ref<const std::string&>();
        if (!value.contains(text)) problems.push_back(fmt::format("{} is missing", within(text)));
      }
    }
    const auto more = schema.find("additionalProperties");
    const bool open = more != schema.end() && more->get<bool>();
    for (const auto& [name, item] : value.items()) {
      const bool known = properties != schema.end() && properties->contains(name);
      if (known) {
        check((*properties)[name], item, within(name));
      } else if (!open) {
        unknown(properties == schema.end() ? nullptr : &*properties, name, within(name));
      }
    }
  }

  void unknown(const Json* properties, const std::string& name, const std::string& path) {
    std::vector<std::string> names;
    if (properties != nullptr) {
      for (const auto& [key, property] : properties->items()) names.push_back(key);
    }
    const auto nearest = nearest_name(name, names);
    problems.push_back(fmt::format("there is no argument {}{}", path.substr(0, 100),
                                   nearest ? fmt::format(", did you mean {}?", *nearest) : ""));
  }
};

// nlohmann's reader is iterative, what works on its result is not.
bool too_deep(std::string_view json) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxArgumentDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Status check_schema(const Json& schema) {
  QUERN_CHECK_OK(check_node(schema, "", 0));
  const auto type = schema.find("type");
  if (type != schema.end() && *type != "object") return malformed("", "the arguments of a tool are an object");
  return {};
}

Result<Json> read_arguments(const Json& schema, std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) text = "{}";  // some models write nothing for none
  if (text.size() > kMaxArgumentBytes || too_deep(text)) {
    return fail_f(ErrorCode::kInvalidArgument, "the arguments are longer than {} bytes or nested deeper than {} levels",
                  kMaxArgumentBytes, kMaxArgumentDepth);
  }
  Json arguments = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (arguments.is_discarded()) return fail(ErrorCode::kInvalidArgument, "the arguments are not valid JSON");
  if (!arguments.is_object()) return fail(ErrorCode::kInvalidArgument, "the arguments must be a JSON object");
  Checker checker;
  checker.check(schema, arguments, "");
  if (!checker.problems.empty()) {
    return fail_f(ErrorCode::kInvalidArgument, "{}", fmt::join(checker.problems, "; "));
  }
  return arguments;
}

}  // namespace quern::toolbox
