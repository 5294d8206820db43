// ToolSet: the tools of a request, read once. Immutable; any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::tools {

using Json = nlohmann::ordered_json;

struct Tool {
  std::string name;
  Json parameters;      // its JSON schema, an object; of a tool without arguments {"type": "object", "properties": {}}
  bool strict = false;  // the schema must be held as it is
};

// What the model wrote for an argument in a format that has no types (XML), as JSON text. A schema says whether a text
// is a string; where it allows several types, or there is none, JSON that it allows comes before a string.
std::string argument_json(const Json* schema, std::string_view text);

// JSON text; what is not UTF-8 is replaced.
std::string json_text(const Json& value);

class ToolSet {
 public:
  static constexpr size_t kMaxTools = 1024;
  // An array of {"type": "function", "function": {"name", "description", "parameters", "strict"}}, or of the inner
  // objects; null is none. kInvalidArgument: another shape, a name twice, or one that is not 1 to 128 letters, digits,
  // _ - . : /.
  static Result<ToolSet> read(const Json& tools);

  [[nodiscard]] const std::vector<Tool>& all() const { return tools_; }
  [[nodiscard]] bool empty() const { return tools_.empty(); }
  // Null when no tool has the name.
  [[nodiscard]] const Tool* find(std::string_view name) const;
  // The tool that is meant: "functions.get:0" and "get.call" are "get" unless a tool has just that name.
  [[nodiscard]] const Tool* find_meant(std::string_view name) const;

 private:
  std::vector<Tool> tools_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

// What a tool's name consists of.
bool is_name_byte(char c);

// The schema of one argument; null where the tool's schema does not list it.
const Json* argument_schema(const Tool& tool, std::string_view name);

}  // namespace quern::tools
