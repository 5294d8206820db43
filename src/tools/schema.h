// The arguments of a call against their JSON schema, with messages that a model can act on.
//
// Of JSON schema: type (a name or a list of names), enum, properties, required, additionalProperties (true or false;
// false where it is absent, a model's invented argument is a mistake), items, minItems, maxItems, minimum, maximum,
// minLength, maxLength (characters). title, description, default and examples are for the model. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quern::toolbox {

inline constexpr size_t kMaxArgumentBytes = size_t{256} << 10;
inline constexpr size_t kMaxArgumentDepth = 32;

// Whether arguments can be checked by this schema, an object's: kUnsupported names a keyword that is not in the list
// above, kInvalidArgument what is malformed.
Status check_schema(const nlohmann::ordered_json& schema);

// The arguments as JSON. kInvalidArgument: not an object, too long or too deep, or not as the schema says; then every
// fault (the first 8 of them), separated by "; ".
Result<nlohmann::ordered_json> read_arguments(const nlohmann::ordered_json& schema, std::string_view text);

}  // namespace quern::toolbox
