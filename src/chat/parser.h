// The parser: tokens to a syntax tree, a recursive descent with Jinja2's grammar and precedences.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "chat/ast.h"
#include "chat/limits.h"

namespace quern::jinja {

// `source` must be valid UTF-8. The error is Jinja2's in substance and names the line.
Result<std::unique_ptr<Tree>> parse_template(std::string_view source, const TemplateLimits& limits);

}  // namespace quern::jinja
