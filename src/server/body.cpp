#include "server/body.h"

#include <algorithm>
#include <cmath>

#include "base/nearest.h"

namespace quern::server {

namespace {

constexpr size_t kMaxJsonDepth = 64;
// Of all objects together: Json keeps members in a list, which is searched for each one that comes.
constexpr uint64_t kMaxJsonComparisons = uint64_t{1} << 27;

std::string in_words(const MemberLimits& limits, const char* type) {
  const bool low = std::isfinite(limits.min), high = std::isfinite(limits.max);
  if (low && high) return fmt::format("{} from {} to {}", type, limits.min, limits.max);
  if (low) return fmt::format("{} of at least {}", type, limits.min);
  if (high) return fmt::format("{} of at most {}", type, limits.max);
  return type;
}

bool within(const MemberLimits& limits, double value) {
  return value >= limits.min && value <= limits.max;
}

// A value as a message quotes it.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// What the schema says of the outermost type.
bool type_fits(const Json& value, const Json& schema) {
  const auto fits = [&](const Json& type) {
    const std::string name = type.get<std::string>();
    return (name == "object" && value.is_object()) || (name == "array" && value.is_array()) ||
           (name == "string" && value.is_string()) || (name == "boolean" && value.is_boolean()) ||
           (name == "integer" && value.is_number_integer()) || (name == "number" && value.is_number());
  };
  const auto type = schema.find("type");
  if (type == schema.end()) return true;
  return type->is_array() ? std::any_of(type->begin(), type->end(), fits) : fits(*type);
}

// A member that may be absent may be null.
void allow_null(Json& schema) {
  if (schema.contains("anyOf")) schema["anyOf"].push_back({{"type", "null"}});
  if (!schema.contains("type")) return;
  if (!schema["type"].is_array()) schema["type"] = Json::array({schema["type"]});
  Json& types = schema["type"];
  if (std::find(types.begin(), types.end(), "null") == types.end()) types.push_back("null");
}

// Goes over a document before anything is built from it. What would cost much later is refused: a deep one becomes deep
// recursion, and an object of n members n * n / 2 comparisons. (A callback of Json::parse cannot do this: with one,
// each end of an object searches all that comes before it in the array around.)
class JsonGuard final : public nlohmann::json_sax<Json> {
 public:
  explicit JsonGuard(std::string_view what) : what_(what) {}
  [[nodiscard]] const std::string& problem() const { return problem_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override {
    comparisons_ += members_.back()++;
    return comparisons_ <= kMaxJsonComparisons || refuse(fmt::format("the objects of {} have too many members", what_));
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    return refuse(fmt::format("{} is not valid JSON: {}", what_, error.what()));
  }

 private:
  bool open() {
    members_.push_back(0);
    return members_.size() <= kMaxJsonDepth ||
           refuse(fmt::format("{} is nested deeper than {} levels", what_, kMaxJsonDepth));
  }
  bool close() {
    members_.pop_back();
    return true;
  }
  bool refuse(std::string why) {
    problem_ = std::move(why);
    return false;
  }

  std::string_view what_;
  std::vector<uint64_t> members_;  // so far, of what is open
  uint64_t comparisons_ = 0;
  std::string problem_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what) {
  try {
    JsonGuard guard(what);
    if (!Json::sax_parse(text, &guard)) return fail(ErrorCode::kInvalidArgument, guard.problem());
    return Json::parse(text);
  } catch (const std::exception& error) {  // memory
    return fail_f(ErrorCode::kInvalidArgument, "{} cannot be read: {}", what, error.what());
  }
}

void BodyReader::problem(std::string_view name, std::string message) {
  if (!error_) error_ = BodyError{std::string(name), std::move(message)};
}

const Json* BodyReader::find(const MemberInfo& info) {
  known_.emplace_back(info.name);
  const auto at = object_.find(info.name);
  if (at != object_.end() && !at->is_null()) return &*at;
  if (info.limits.required) problem(info.name, fmt::format("'{}' is missing", info.name));
  return nullptr;
}

void BodyReader::member(const MemberInfo& info, bool& field) {
  const Json* value = find(info);
  if (value == nullptr) return;
  if (!value->is_boolean()) {
    return problem(info.name, fmt::format("'{}' is {}, expected true or false", info.name, shown(*value)));
  }
  field = value->get<bool>();
}

void BodyReader::member(const MemberInfo& info, int64_t& field) {
  const Json* value = find(info);
  if (value == nullptr) return;
  // 64.0 is an integer in JSON schema, and some clients write it so.
  const bool whole = value->is_number_integer() ||
                     (value->is_number_float() && std::trunc(value->get<double>()) == value->get<double>() &&
                      std::fabs(value->get<double>()) < 9e15);
  const bool huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  if (!whole || huge || !within(info.limits, value->get<double>())) {
    return problem(info.name, fmt::format("'{}' is {}, expected {}", info.name, shown(*value),
                                          in_words(info.limits, "an integer")));
  }
  field = value->is_number_float() ? static_cast<int64_t>(value->get<double>()) : value->get<int64_t>();
}

void BodyReader::member(const MemberInfo& info, double& field) {
  const Json* value = find(info);
  if (value == nullptr) return;
  if (!value->is_number() || !within(info.limits, value->get<double>())) {
    return problem(info.name,
                   fmt::format("'{}' is {}, expected {}", info.name, shown(*value), in_words(info.limits, "a number")));
  }
  field = value->get<double>();
}

void BodyReader::member(const MemberInfo& info, std::string& field) {
  const Json* value = find(info);
  if (value == nullptr) return;
  const auto& choices = info.limits.choices;
  if (!value->is_string()) {
    return problem(info.name, fmt::format("'{}' is {}, expected a string", info.name, shown(*value)));
  }
  field = value->get<std::string>();
  if (!choices.empty() && std::find(choices.begin(), choices.end(), field) == choices.end()) {
    problem(info.name,
            fmt::format("'{}' is {}, expected one of {}", info.name, shown(*value), fmt::join(choices, ", ")));
  }
}

template <class T>
void BodyReader::optional_member(const MemberInfo& info, std::optional<T>& field) {
  const auto at = object_.find(info.name);
  T value{};
  member(info, value);
  if (at != object_.end() && !at->is_null()) field = std::move(value);
}

void BodyReader::member(const MemberInfo& info, std::optional<bool>& field) {
  optional_member(info, field);
}
void BodyReader::member(const MemberInfo& info, std::optional<int64_t>& field) {
  optional_member(info, field);
}
void BodyReader::member(const MemberInfo& info, std::optional<double>& field) {
  optional_member(info, field);
}
void BodyReader::member(const MemberInfo& info, std::optional<std::string>& field) {
  optional_member(info, field);
}

void BodyReader::member(const MemberInfo& info, std::vector<std::string>& field) {
  const Json* value = find(info);
  if (value == nullptr) return;
  const bool strings =
      value->is_array() && std::all_of(value->begin(), value->end(), [](const Json& item) { return item.is_string(); });
  if (!value->is_string() && !strings) {
    return problem(info.name,
                   fmt::format("'{}' is {}, expected a string or an array of strings", info.name, shown(*value)));
  }
  field = value->is_string() ? std::vector{value->get<std::string>()} : value->get<std::vector<std::string>>();
}

void BodyReader::member(const MemberInfo& info, Json& field, std::string_view schema) {
  const Json* value = find(info);
  if (value == nullptr) return;
  const Json parsed = Json::parse(schema);
  if (!type_fits(*value, parsed)) {
    return problem(info.name, fmt::format("'{}' is {}, which has the wrong type", info.name, shown(*value)));
  }
  if (value->is_array() && value->size() < parsed.value("minItems", size_t{0})) {
    return problem(info.name, fmt::format("'{}' has fewer items than {}", info.name, parsed["minItems"].get<size_t>()));
  }
  field = *value;
}

void BodyReader::refuse(std::string_view name, std::string_view why, std::vector<std::string_view> harmless) {
  known_.emplace_back(name);
  const auto at = object_.find(name);
  if (at == object_.end() || at->is_null()) return;
  for (const std::string_view text : harmless) {
    if (*at == Json::parse(text)) return;
  }
  problem(name, fmt::format("'{}' is not supported: {}", name, why));
}

void BodyReader::ignore(std::string_view name, std::string_view) {
  known_.emplace_back(name);
  const auto at = object_.find(name);
  if (at != object_.end() && !at->is_null()) ignored_.emplace_back(name);
}

std::optional<BodyError> BodyReader::finish(std::vector<std::string>& ignored) {
  const std::vector<std::string_view> names(known_.begin(), known_.end());
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    if (unknown_ == Unknown::kIgnore) {
      ignored_.push_back(key);
      continue;
    }
    const auto nearest = nearest_name(key, names);
    problem(key, fmt::format("'{}' is not a known parameter{}", key,
                             nearest ? fmt::format("; did you mean '{}'?", *nearest) : ""));
  }
  ignored.insert(ignored.end(), ignored_.begin(), ignored_.end());
  return std::move(error_);
}

BodySchema::BodySchema() : schema_{{"type", "object"}, {"properties", Json::object()}} {}

Json& BodySchema::add(const MemberInfo& info, const char* type, bool nullable) {
  // First: a new key moves the others.
  if (info.limits.required) schema_["required"].push_back(info.name);
  Json& property = schema_["properties"][std::string(info.name)];
  property = {{"type", nullable ? Json::array({type, "null"}) : Json(type)}, {"description", info.help}};
  const bool number = std::string_view(type) == "integer" || std::string_view(type) == "number";
  if (number && std::isfinite(info.limits.min)) property["minimum"] = info.limits.min;
  if (number && std::isfinite(info.limits.max)) property["maximum"] = info.limits.max;
  if (!info.limits.choices.empty()) {
    property["enum"] = info.limits.choices;
    if (nullable) property["enum"].push_back(nullptr);
  }
  return property;
}

void BodySchema::member(const MemberInfo& info, bool& field) {
  add(info, "boolean", !info.limits.required)["default"] = field;
}
void BodySchema::member(const MemberInfo& info, int64_t& field) {
  add(info, "integer", !info.limits.required)["default"] = field;
}
void BodySchema::member(const MemberInfo& info, double& field) {
  add(info, "number", !info.limits.required)["default"] = field;
}
void BodySchema::member(const MemberInfo& info, std::string& field) {
  Json& property = add(info, "string", !info.limits.required);
  if (!field.empty()) property["default"] = field;
}
void BodySchema::member(const MemberInfo& info, std::optional<bool>&) {
  add(info, "boolean", true);
}
void BodySchema::member(const MemberInfo& info, std::optional<int64_t>&) {
  add(info, "integer", true);
}
void BodySchema::member(const MemberInfo& info, std::optional<double>&) {
  add(info, "number", true);
}
void BodySchema::member(const MemberInfo& info, std::optional<std::string>&) {
  add(info, "string", true);
}
void BodySchema::member(const MemberInfo& info, std::vector<std::string>&) {
  Json& property = add(info, "string", false);
  property.erase("type");
  property["anyOf"] = {{{"type", "string"}}, {{"type", "array"}, {"items", {{"type", "string"}}}}, {{"type", "null"}}};
}
void BodySchema::member(const MemberInfo& info, Json&, std::string_view schema) {
  Json& property = add(info, "object", false);
  property = Json::parse(schema);
  if (!info.limits.required) allow_null(property);
  property["description"] = info.help;
}
void BodySchema::refuse(std::string_view name, std::string_view why, std::vector<std::string_view> harmless) {
  Json& property = schema_["properties"][std::string(name)];
  property = {{"description", fmt::format("Not supported: {}", why)}, {"enum", {nullptr}}};
  for (const std::string_view text : harmless) property["enum"].push_back(Json::parse(text));
}
void BodySchema::ignore(std::string_view name, std::string_view why) {
  schema_["properties"][std::string(name)] = {{"description", fmt::format("Without effect: {}", why)}};
}

}  // namespace quern::server
