// Conversations as OpenAI's APIs write them, as the templates take them: a role and a text. Pure functions; any thread.
// Source document: platform.openai.com/docs/api-reference/chat/create.
#pragma once

#include <optional>
#include <string>

#include "server/body.h"

namespace quern::server {

// Checks the messages of a chat and makes them plain: parts of text become one text, joined by line breaks, and
// "developer" becomes "system". Other members stay, a template may know them. Images, audio and files are refused by
// name; tool calls and their results are kept for templates that have a place for them.
std::optional<BodyError> plain_messages(Json& messages);

// The same for one message, and for the content of something; `where` names it in errors.
std::optional<BodyError> plain_message(Json& message, const std::string& where);
std::optional<BodyError> plain_content(Json& content, const std::string& where);

// The prompt that a chat rendered as `text` becomes where its last message is to be continued: it ends with what the
// message has so far, without what the template puts behind. nullopt where the template changed the message beyond
// recognition.
std::optional<std::string> continued(const std::string& text, const Json& messages);

// The JSON schema of a chat's messages.
inline constexpr const char* kMessagesSchema = R"({"type": "array", "minItems": 1, "items": {"type": "object",
  "required": ["role"], "properties": {
    "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
    "content": {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["type", "text"], "properties": {
        "type": {"enum": ["text"]}, "text": {"type": "string"}}}}]}}}})";

}  // namespace quern::server
