#include "chat/render_chat.h"

namespace quern {
namespace {

using Json = nlohmann::ordered_json;

Status check_shape(const ChatRequest& request) {
  if (!request.messages.is_array()) return fail(ErrorCode::kInvalidArgument, "messages must be an array");
  for (size_t i = 0; i < request.messages.size(); ++i) {
    const Json& message = request.messages[i];
    const bool has_role = message.is_object() && message.contains("role") && message["role"].is_string();
    if (!has_role) return fail_f(ErrorCode::kInvalidArgument, "messages[{}] must be an object with a role", i);
  }
  if (!request.tools.is_null() && !request.tools.is_array()) {
    return fail(ErrorCode::kInvalidArgument, "tools must be an array");
  }
  if (!request.extra.is_object())
    return fail(ErrorCode::kInvalidArgument, "extra template variables must be an object");
  for (const char* name : {"messages", "tools", "add_generation_prompt"}) {
    if (request.extra.contains(name)) {
      return fail_f(ErrorCode::kInvalidArgument, "the template variable '{}' is the request's own", name);
    }
  }
  return {};
}

// Calls `change` with the arguments of every tool call.
template <class Change>
void each_arguments(Json& messages, Change change) {
  for (Json& message : messages) {
    if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) continue;
    for (Json& call : message["tool_calls"]) {
      if (!call.is_object()) continue;
      Json& function = call.contains("function") ? call["function"] : call;
      if (function.is_object() && function.contains("arguments")) change(function["arguments"]);
    }
  }
}

}  // namespace

Result<std::string> render_chat(const ChatTemplate& chat_template, const ChatRequest& request) {
  QUERN_CHECK_OK(check_shape(request));
  Json context = request.extra;
  context["messages"] = request.messages;
  context["tools"] = request.tools.empty() ? Json(nullptr) : request.tools;
  context["add_generation_prompt"] = request.add_generation_prompt;
  if (!context.contains("documents")) context["documents"] = nullptr;
  if (!context.contains("bos_token")) context["bos_token"] = request.bos_token;
  if (!context.contains("eos_token")) context["eos_token"] = request.eos_token;

  bool any_arguments = false;
  each_arguments(context["messages"], [&](Json& arguments) {
    any_arguments = true;
    if (!arguments.is_string()) return;
    Json parsed = Json::parse(arguments.get_ref<const std::string&>(), nullptr, false);
    if (parsed.is_object()) arguments = std::move(parsed);
  });
  const RenderOptions options{.now = request.now};
  auto text = chat_template.render(context, options);
  if (text || !any_arguments || text.error().code == ErrorCode::kResource) return text;
  each_arguments(context["messages"], [](Json& arguments) {
    if (!arguments.is_string()) arguments = arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
  });
  auto second = chat_template.render(context, options);
  return second ? second : text;
}

Result<std::string> render_template_text(std::string_view source, std::string_view context_json,
                                         const RenderOptions& options) {
  QUERN_TRY(const auto chat_template, ChatTemplate::parse(source));
  const Json context = Json::parse(context_json, nullptr, false);
  if (context.is_discarded()) return fail(ErrorCode::kCorrupt, "the context is not valid JSON");
  return chat_template.render(context, options);
}

}  // namespace quern
