// ToolWish: what a request wants of tools, in OpenAI's two shapes and in Ollama's. Values; any thread. Source
// documents: platform.openai.com/docs/api-reference, chat/create and responses/create; Ollama's docs/api.md.
#pragma once

#include <memory>
#include <optional>

#include "server/tools/offered_tools.h"

namespace quern::server {

struct ToolWish {
  Json definitions = nullptr;           // as templates take them
  std::shared_ptr<OfferedTools> tools;  // null: there are none
  bool none = false;                    // they are for the history alone: the template is told of none
  tools::ToolChoice choice;

  [[nodiscard]] bool offered() const { return tools != nullptr && !none; }
};

// How a request writes functions: chats within a member "function", the responses API beside "type".
enum class ToolShape : uint8_t { kNested, kFlat };

// `tools` an array of {"type": "function", "function": {"name", "description", "parameters", "strict"}}; `choice` is
// "none", "auto", "required", {"type": "function", "function": {"name"}} or null.
std::optional<BodyError> read_tools(const Json& tools, const Json& choice, bool parallel, ToolStore& store,
                                    ToolWish& to, ToolShape shape = ToolShape::kNested);

// Checks the tool_calls of assistants and the ids of results in a conversation that has been made plain otherwise.
std::optional<BodyError> check_tool_messages(const Json& messages);

// Ollama's messages as OpenAI's: calls get ids, and results those of their calls, by `tool_name` or in turn; `thinking`
// is `reasoning_content` too.
void number_calls(Json& messages);

inline constexpr const char* kToolsSchema = R"({"type": ["array", "null"], "items": {"type": "object",
  "required": ["type", "function"], "properties": {"type": {"enum": ["function"]},
    "function": {"type": "object", "required": ["name"], "properties": {
      "name": {"type": "string", "pattern": "^[a-zA-Z0-9_./:-]{1,128}$"}, "description": {"type": ["string", "null"]},
      "parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}}}}})";
inline constexpr const char* kToolChoiceSchema = R"({"anyOf": [{"enum": ["none", "auto", "required", null]},
  {"type": "object", "required": ["type", "function"], "properties": {"type": {"enum": ["function"]},
    "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}}]})";
inline constexpr const char* kFlatToolsSchema = R"({"type": ["array", "null"], "items": {"type": "object",
  "required": ["type", "name"], "properties": {"type": {"enum": ["function"]},
    "name": {"type": "string", "pattern": "^[a-zA-Z0-9_./:-]{1,128}$"}, "description": {"type": ["string", "null"]},
    "parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}}})";
inline constexpr const char* kFlatToolChoiceSchema = R"({"anyOf": [{"enum": ["none", "auto", "required", null]},
  {"type": "object", "required": ["type", "name"], "properties": {"type": {"enum": ["function"]},
    "name": {"type": "string"}}}]})";

}  // namespace quern::server
