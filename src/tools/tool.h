// Tool: one declared tool, as the registry keeps it. Immutable once in a registry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tools/placeholders.h"

namespace quern::toolbox {

using Json = nlohmann::ordered_json;

inline constexpr size_t kMaxTools = 128;
inline constexpr size_t kMaxArguments = 64;

struct CommandTool {
  std::vector<Pattern> argv;   // the first has no placeholders
  std::string input_argument;  // whose text is the standard input; empty: none
  std::string directory;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> inherit;  // names that are passed on beside kPassedOn
  bool allow_options = false;        // a value may begin with '-' where the program could take it for an option
};

struct HttpTool {
  std::string method = "GET";
  Pattern url;  // placeholders stand after the host
  std::vector<std::pair<std::string, std::string>> headers;
};

enum class Builtin : uint8_t { kClock, kCalculator };

struct FunctionTool {
  std::function<Result<std::string>(const std::string& arguments)> call;
};

struct Tool {
  std::string name;
  std::string description;
  Json parameters = Json::object();  // JSON schema, within what check_schema() takes
  bool confirm = true;
  double timeout_s = 10;
  size_t output_limit = 16384;
  std::variant<CommandTool, HttpTool, Builtin, FunctionTool> what;
};

}  // namespace quern::toolbox
