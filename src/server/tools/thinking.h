// Whether a model thinks before it answers, as requests ask for it: Ollama's `think`, the effort of OpenAI's responses.
// Any thread.
#pragma once

#include "server/body.h"
#include "server/models.h"

namespace quern::server {

// `think` must be true, false, "low", "medium", "high" or null, which leaves it to the template.
std::optional<BodyError> check_think(const Json& think);

// The same as the variables of templates that have such. kInvalidArgument for what asks a model to think that knows
// none of it; `name` is the member's.
Result<Json> think_variables(const Json& think, std::string_view name, const Model& model);

inline constexpr const char* kThinkSchema = R"({"enum": [true, false, "low", "medium", "high", null]})";

}  // namespace quern::server
