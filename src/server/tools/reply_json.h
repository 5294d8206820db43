// Replies with calls and reasoning as the JSON of OpenAI's and of Ollama's answers, appended to a text. Pure functions;
// any thread.
#pragma once

#include <string>

#include "chat/tools/reply_parser.h"

namespace quern::server {

// Members of OpenAI's message: "content" (null where there are but calls), "reasoning_content", "tool_calls".
void append_openai_message(std::string& to, const ParsedReply& reply);
// Members of OpenAI's delta; false where nothing is told by it.
bool append_openai_delta(std::string& to, const tools::Delta& delta);
// ,"quern":{"call_problems":[...]} where there are any: why what begins like a call is none.
void append_call_problems(std::string& to, const std::vector<std::string>& problems);
// One of Ollama's tool_calls.
void append_ollama_call(std::string& to, const ToolCall& call, size_t index);

}  // namespace quern::server
