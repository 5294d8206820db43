// A request body's members, declared once: the reader, the error messages and the OpenAPI schema go over the same list.
//
//   struct EchoBody {
//     std::string text;
//     std::optional<double> temperature;
//     void fields(FieldVisitor& v) {
//       v.member({"text", "What to say", {.required = true}}, text);
//       v.member({"temperature", "...", {.min = 0, .max = 2}}, temperature);
//     }
//   };
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::server {

using Json = nlohmann::ordered_json;

// `what` names the text in the error: kInvalidArgument for what is no JSON, or is nested too deep to be walked over.
Result<Json> parse_json(std::string_view text, std::string_view what);

struct MemberLimits {
  bool required = false;
  double min = -std::numeric_limits<double>::infinity();  // inclusive, of numbers
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string_view> choices = {};  // of strings; empty allows all
};

struct MemberInfo {
  std::string_view name;
  std::string_view help;
  MemberLimits limits = {};
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  // An absent or null member leaves the field as it is: its value before is the default.
  virtual void member(const MemberInfo& info, bool& field) = 0;
  virtual void member(const MemberInfo& info, int64_t& field) = 0;
  virtual void member(const MemberInfo& info, double& field) = 0;
  virtual void member(const MemberInfo& info, std::string& field) = 0;
  virtual void member(const MemberInfo& info, std::optional<bool>& field) = 0;
  virtual void member(const MemberInfo& info, std::optional<int64_t>& field) = 0;
  virtual void member(const MemberInfo& info, std::optional<double>& field) = 0;
  virtual void member(const MemberInfo& info, std::optional<std::string>& field) = 0;
  // A string or an array of strings.
  virtual void member(const MemberInfo& info, std::vector<std::string>& field) = 0;
  // Any JSON; `schema` is its JSON schema as text, and what it says of the outermost type is checked.
  virtual void member(const MemberInfo& info, Json& field, std::string_view schema) = 0;
  // Known in the API and not supported here: refused by name unless its value is one of these JSON texts, which ask for
  // nothing.
  virtual void refuse(std::string_view name, std::string_view why, std::vector<std::string_view> harmless) = 0;
  // Known in the API and without effect here by its nature.
  virtual void ignore(std::string_view name, std::string_view why) = 0;
};

// What is wrong with a body, and in which member.
struct BodyError {
  std::string param;
  std::string message;
};

enum class Unknown : uint8_t { kRefuse, kIgnore };

// Reads the members of `object`. Unknown members are refused with the nearest known name, or listed in `ignored`.
// Returns the first problem. `fields` calls v.member(...) for each member.
template <class Body>
std::optional<BodyError> read_body(const Json& object, Body& body, Unknown unknown, std::vector<std::string>& ignored);

// The JSON schema of a body.
template <class Body>
Json body_schema();

// The two visitors behind them.
class BodyReader final : public FieldVisitor {
 public:
  BodyReader(const Json& object, Unknown unknown) : object_(object), unknown_(unknown) {}
  void member(const MemberInfo& info, bool& field) override;
  void member(const MemberInfo& info, int64_t& field) override;
  void member(const MemberInfo& info, double& field) override;
  void member(const MemberInfo& info, std::string& field) override;
  void member(const MemberInfo& info, std::optional<bool>& field) override;
  void member(const MemberInfo& info, std::optional<int64_t>& field) override;
  void member(const MemberInfo& info, std::optional<double>& field) override;
  void member(const MemberInfo& info, std::optional<std::string>& field) override;
  void member(const MemberInfo& info, std::vector<std::string>& field) override;
  void member(const MemberInfo& info, Json& field, std::string_view schema) override;
  void refuse(std::string_view name, std::string_view why, std::vector<std::string_view> harmless) override;
  void ignore(std::string_view name, std::string_view why) override;

  // After all members: what was not known, and the first problem.
  std::optional<BodyError> finish(std::vector<std::string>& ignored);

 private:
  const Json* find(const MemberInfo& info);
  void problem(std::string_view name, std::string message);
  template <class T>
  void optional_member(const MemberInfo& info, std::optional<T>& field);

  const Json& object_;
  Unknown unknown_;
  std::vector<std::string> known_;
  std::vector<std::string> ignored_;
  std::optional<BodyError> error_;
};

class BodySchema final : public FieldVisitor {
 public:
  BodySchema();
  void member(const MemberInfo& info, bool& field) override;
  void member(const MemberInfo& info, int64_t& field) override;
  void member(const MemberInfo& info, double& field) override;
  void member(const MemberInfo& info, std::string& field) override;
  void member(const MemberInfo& info, std::optional<bool>& field) override;
  void member(const MemberInfo& info, std::optional<int64_t>& field) override;
  void member(const MemberInfo& info, std::optional<double>& field) override;
  void member(const MemberInfo& info, std::optional<std::string>& field) override;
  void member(const MemberInfo& info, std::vector<std::string>& field) override;
  void member(const MemberInfo& info, Json& field, std::string_view schema) override;
  void refuse(std::string_view name, std::string_view why, std::vector<std::string_view> harmless) override;
  void ignore(std::string_view name, std::string_view why) override;

  Json take() { return std::move(schema_); }

 private:
  Json& add(const MemberInfo& info, const char* type, bool nullable);

  Json schema_;
};

template <class Body>
std::optional<BodyError> read_body(const Json& object, Body& body, Unknown unknown, std::vector<std::string>& ignored) {
  if (!object.is_object()) return BodyError{"", "the body must be a JSON object"};
  BodyReader reader(object, unknown);
  body.fields(reader);
  return reader.finish(ignored);
}

template <class Body>
Json body_schema() {
  Body body;
  BodySchema schema;
  body.fields(schema);
  return schema.take();
}

}  // namespace quern::server
