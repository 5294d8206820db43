// Tools that are HTTP calls. Values stand percent-encoded after the host; what the address does not use goes as a JSON
// body where the method has one. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "tools/execute.h"

namespace quern::toolbox {

bool method_has_body(std::string_view method);  // POST, PUT, PATCH

// Everything but A-Z a-z 0-9 - . _ ~ as %XX: a value cannot end a path segment, a name or a value of the query.
std::string url_escape(std::string_view value);

// The address. Absent arguments are empty; kInvalidArgument: a value that makes a segment "." or "..", or a list.
Result<std::string> call_url(const HttpTool& http, const Json& arguments);

Result<Action> http_action(std::shared_ptr<const Tool> tool, const Json& arguments);

}  // namespace quern::toolbox
