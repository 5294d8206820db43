#include "server/tools/thinking.h"

#include <fmt/format.h>

namespace quern::server {

std::optional<BodyError> check_think(const Json& think) {
  if (think.is_null() || think.is_boolean() || think == "low" || think == "medium" || think == "high")
    return std::nullopt;
  return BodyError{"think", "'think' must be true, false, low, medium or high"};
}

Result<Json> think_variables(const Json& think, std::string_view name, const Model& model) {
  Json extra = Json::object();
  if (think.is_null()) return extra;
  const bool wanted = think != false;
  if (wanted && !model.reasons) {
    return fail_f(ErrorCode::kInvalidArgument, "'{}': {} does not support thinking", name, model.name);
  }
  for (const char* variable : {"enable_thinking", "thinking"}) {
    if (tools::has(model.engine().chat_template(), variable)) extra[variable] = wanted;
  }
  if (think.is_string()) extra["reasoning_effort"] = think;
  return extra;
}

}  // namespace quern::server
