// The input of the responses API, a text or a list of items, as the messages of a chat. Pure functions; any thread.
// Source document: platform.openai.com/docs/api-reference/responses/create.
#pragma once

#include <optional>
#include <string>

#include "server/body.h"

namespace quern::server {

// Plain messages (messages.h) in the shape of chats, `instructions` first. What an assistant gave in a row, reasoning,
// a text and its function_calls, is one message again, with `reasoning_content` and `tool_calls`; a
// function_call_output is one of the role tool. Other items, and the output of a call that is not there, are refused by
// name.
std::optional<BodyError> input_messages(const Json& input, const std::string& instructions, Json& messages);

inline constexpr const char* kInputSchema = R"({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1,
  "items": {"anyOf": [
    {"type": "object", "required": ["role", "content"], "properties": {
      "type": {"enum": ["message"]}, "role": {"enum": ["system", "developer", "user", "assistant"]},
      "content": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {
        "type": "object", "required": ["type", "text"], "properties": {
          "type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}}}}]}}},
    {"type": "object", "required": ["type", "call_id", "name", "arguments"], "properties": {
      "type": {"enum": ["function_call"]}, "call_id": {"type": "string"}, "name": {"type": "string"},
      "arguments": {"type": "string"}}},
    {"type": "object", "required": ["type", "call_id", "output"], "properties": {
      "type": {"enum": ["function_call_output"]}, "call_id": {"type": "string"}, "output": {"type": "string"}}},
    {"type": "object", "required": ["type"], "properties": {
      "type": {"enum": ["reasoning"]}, "content": {"type": ["array", "null"], "items": {"type": "object",
        "required": ["type", "text"], "properties": {"type": {"enum": ["reasoning_text"]},
          "text": {"type": "string"}}}}}}]}}]})";

}  // namespace quern::server
