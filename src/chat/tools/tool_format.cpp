#include "chat/tools/tool_format.h"

#include "chat/render_chat.h"
#include "chat/tools/tool_prompt.h"

namespace quern::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kTool = "quern_probe_tool";
constexpr const char* kValue = "quern_probe_value";
constexpr const char* kText = "quern_probe_text";

Json user(const char* text) {
  return {{"role", "user"}, {"content", text}};
}

Json probe_tools() {
  const Json parameters = {{"type", "object"},
                           {"properties", {{"x", {{"type", "string"}, {"description", "x"}}}}},
                           {"required", Json::array({"x"})}};
  return Json::array(
      {{{"type", "function"}, {"function", {{"name", kTool}, {"description", "probe"}, {"parameters", parameters}}}}});
}

// As little as a tool may say.
Json bare_tools() {
  const Json parameters = {{"type", "object"}, {"properties", {{"x", true}, {"y", Json::object()}}}};
  return Json::array({{{"type", "function"}, {"function", {{"name", "some_tool"}}}},
                      {{"type", "function"}, {"function", {{"name", kTool}, {"parameters", parameters}}}}});
}

Json probe_call(const Json& content) {
  const Json function = {{"name", kTool}, {"arguments", {{"x", kValue}}}};
  return {{"role", "assistant"},
          {"content", content},
          {"tool_calls", Json::array({{{"id", "abcdef123"}, {"type", "function"}, {"function", function}}})}};
}

// The rendered text; empty when the template refuses.
std::string rendered(const Family& family, const ChatTemplate& chat_template, Json messages, Json tools = nullptr) {
  ChatRequest request;
  request.messages = std::move(messages);
  request.tools = std::move(tools);
  fit_tools(family, request);
  auto text = render_chat(chat_template, request);
  return text ? std::move(*text) : std::string();
}

}  // namespace

ToolFormat ToolFormat::of(std::string_view source, const ChatTemplate& chat_template) {
  ToolFormat format;
  for (const Family* family : families()) {
    if (family->speaks == nullptr || !family->speaks(source)) continue;
    format.family_ = family;
    break;
  }
  format.reasoning_ = &reasoning_marks(source);

  Renders& renders = format.renders_;
  renders.system =
      has(rendered(*format.family_, chat_template, {{{"role", "system"}, {"content", kText}}, user("q")}), kText);
  const Json tools = probe_tools();
  renders.tools = has(rendered(*format.family_, chat_template, Json::array({user("q")}), tools), kTool);
  renders.bare_tools =
      !renders.tools || has(rendered(*format.family_, chat_template, Json::array({user("q")}), bare_tools()), kTool);
  const Json offered = renders.tools ? tools : Json(nullptr);
  const auto shows_call = [&](const Json& content) {
    const std::string text = rendered(*format.family_, chat_template, {user("q"), probe_call(content)}, offered);
    return has(text, kValue) && (!content.is_string() || has(text, content.get_ref<const std::string&>()));
  };
  renders.calls = shows_call("");
  if (!renders.calls) renders.calls = renders.null_content = shows_call(nullptr);
  renders.calls_with_content = renders.calls && !renders.null_content && shows_call(kText);
  const Json content = renders.null_content ? Json(nullptr) : Json("");
  const Json result = {{"role", "tool"}, {"tool_call_id", "abcdef123"}, {"name", kTool}, {"content", kText}};
  const Json call = renders.calls ? probe_call(content) : Json{{"role", "assistant"}, {"content", "call"}};
  renders.results = has(rendered(*format.family_, chat_template, {user("q"), call, result}, offered), kText);
  return format;
}

ToolFormat ToolFormat::any() {
  ToolFormat format;
  format.all_ = true;
  return format;
}

bool ToolFormat::opens_reasoning(std::string_view prompt) const {
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == ' ')) prompt.remove_suffix(1);
  return prompt.ends_with(reasoning_->open);
}

}  // namespace quern::tools
