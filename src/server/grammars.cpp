#include "server/grammars.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/call.h"

namespace quern::server {

Result<Grammar> Grammars::get(Kind kind, const std::string& source) {
  {
    const std::lock_guard lock(mutex_);
    const auto known =
        std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.kind == kind && k.source == source; });
    if (known != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, known);
      return kept_.front().grammar;
    }
  }
  Result<Grammar> made = kind == Kind::kJsonObject   ? Grammar::json_object()
                         : kind == Kind::kJsonSchema ? Grammar::json_schema(source)
                         : kind == Kind::kRegex      ? Grammar::regex(source)
                                                     : Grammar::gbnf(source);
  if (!made) return made;
  const std::lock_guard lock(mutex_);
  kept_.push_front({kind, source, *made});
  if (kept_.size() > kMost) kept_.pop_back();
  return made;
}

namespace {

std::optional<BodyError> take(Result<Grammar> made, const std::string& param, Grammar& to) {
  if (!made) return BodyError{param, fmt::format("'{}': {}", param, made.error().message)};
  to = std::move(*made);
  return std::nullopt;
}

// A member of `object` that has to be there, as text.
std::optional<BodyError> read_source(const Json& object, const char* name, const std::string& param,
                                     Grammars::Kind kind, Grammars& grammars, Grammar& to) {
  const std::string place = param + "." + name;
  const auto at = object.find(name);
  const bool schema = kind == Grammars::Kind::kJsonSchema;
  if (at == object.end() || (schema ? !at->is_object() && !at->is_boolean() : !at->is_string())) {
    return BodyError{place, fmt::format("'{}' must be {}", place, schema ? "a JSON schema" : "a string")};
  }
  return take(grammars.get(kind, schema ? dump(*at) : at->get<std::string>()), place, to);
}

// Names that are not known would have been meant to change the answer.
std::optional<BodyError> only(const Json& object, const std::string& param, std::initializer_list<const char*> names) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return BodyError{param + "." + name, fmt::format("'{}.{}' is not a known parameter", param, name)};
  }
  return std::nullopt;
}

std::optional<BodyError> read_format(const Json& format, const std::string& param, bool wrapped, Grammars& grammars,
                                     Grammar& to) {
  using Kind = Grammars::Kind;
  if (format.is_null()) return std::nullopt;
  const auto type = format.is_object() ? format.find("type") : format.end();
  if (!format.is_object() || type == format.end() || !type->is_string()) {
    return BodyError{param, fmt::format("'{}' must be an object with a type", param)};
  }
  const std::string& name = type->get_ref<const std::string&>();
  if (name == "json_schema" && wrapped) {
    if (auto problem = only(format, param, {"type", "json_schema"})) return problem;
    const auto inner = format.find("json_schema");
    const std::string place = param + ".json_schema";
    if (inner == format.end() || !inner->is_object()) {
      return BodyError{place, fmt::format("'{}' must be an object with a schema", place)};
    }
    if (auto problem = only(*inner, place, {"name", "description", "schema", "strict"})) return problem;
    return read_source(*inner, "schema", place, Kind::kJsonSchema, grammars, to);
  }
  if (name == "json_schema") {
    if (auto problem = only(format, param, {"type", "name", "description", "schema", "strict"})) return problem;
    return read_source(format, "schema", param, Kind::kJsonSchema, grammars, to);
  }
  if (name == "regex") {
    if (auto problem = only(format, param, {"type", "pattern"})) return problem;
    return read_source(format, "pattern", param, Kind::kRegex, grammars, to);
  }
  if (name == "gbnf") {
    if (auto problem = only(format, param, {"type", "grammar"})) return problem;
    return read_source(format, "grammar", param, Kind::kGbnf, grammars, to);
  }
  if (auto problem = only(format, param, {"type"})) return problem;
  if (name == "text") return std::nullopt;
  if (name == "json_object") return take(grammars.get(Kind::kJsonObject, ""), param, to);
  return BodyError{
      param + ".type",
      fmt::format("'{}.type' is '{}', expected text, json_object, json_schema, regex or gbnf", param, name)};
}

}  // namespace

std::optional<BodyError> read_response_format(const Json& format, const std::string& param, Grammars& grammars,
                                              Grammar& to) {
  return read_format(format, param, /*wrapped=*/true, grammars, to);
}

std::optional<BodyError> read_text_format(const Json& format, const std::string& param, Grammars& grammars,
                                          Grammar& to) {
  return read_format(format, param, /*wrapped=*/false, grammars, to);
}

std::optional<BodyError> read_ollama_format(const Json& format, Grammars& grammars, Grammar& to) {
  if (format.is_null() || format == "") return std::nullopt;
  if (format == "json") return take(grammars.get(Grammars::Kind::kJsonObject, ""), "format", to);
  if (!format.is_object()) return BodyError{"format", "'format' must be \"json\" or a JSON schema"};
  return take(grammars.get(Grammars::Kind::kJsonSchema, dump(format)), "format", to);
}

}  // namespace quern::server
