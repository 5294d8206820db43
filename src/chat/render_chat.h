// render_chat: the one way from a conversation to a prompt; every command and endpoint that renders a chat calls it.
//
// It gives the template what Hugging Face's apply_chat_template gives: messages, tools (null when there are none),
// documents (null), add_generation_prompt, the tokens' texts, and the request's own variables. Any thread may call it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "chat/chat_template.h"

namespace quern {

struct ChatRequest {
  nlohmann::ordered_json messages;         // an array of objects with a role
  nlohmann::ordered_json tools = nullptr;  // an array of tools, or null
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();  // more variables, such as enable_thinking
  std::optional<std::tm> now;  // the time that the template is told; the local time when not set
};

// A tool call's arguments may come as an object or as JSON text; templates differ in which they take. They are offered
// as objects first and as text when the template fails on those. Fails with kInvalidArgument when messages or tools
// have the wrong shape, and as ChatTemplate::render does.
Result<std::string> render_chat(const ChatTemplate& chat_template, const ChatRequest& request);

// `quern template`: source and context as texts.
Result<std::string> render_template_text(std::string_view source, std::string_view context_json,
                                         const RenderOptions& options = {});

}  // namespace quern
