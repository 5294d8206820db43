#include "chat/chat_template.h"

#include <nlohmann/json.hpp>

#include "chat/interpreter.h"
#include "chat/json.h"
#include "chat/parser.h"
#include "chat/unicode.h"

namespace quern {

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) {
    return fail_f(ErrorCode::kResource, "the template has {} bytes, the limit is {}", source.size(),
                  limits.max_source_bytes);
  }
  if (!jinja::valid_utf8(source)) return fail(ErrorCode::kCorrupt, "the template is not valid UTF-8");
  QUERN_TRY(auto tree, jinja::parse_template(source, limits));
  return ChatTemplate(std::move(tree), limits);
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& context, const RenderOptions& options) const {
  if (!context.is_object()) return fail(ErrorCode::kInvalidArgument, "a template's context must be a JSON object");
  jinja::Runtime rt(limits_, options.now);
  const jinja::Value values = jinja::from_json(rt, context);
  std::string text;
  if (!rt.failed()) text = jinja::Interpreter(*tree_, rt, values).run();
  if (rt.failed()) return tl::unexpected<Error>(rt.error());
  return text;
}

}  // namespace quern
