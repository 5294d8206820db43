// tool_prompt: a conversation with tools as the model's template takes it. Templates that render tools, calls and
// results get them; for the others they are turned into text: the tools into a system message, calls into the
// assistant's text as its family writes them, results into a user's message. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "chat/render_chat.h"
#include "chat/tools/tool_format.h"
#include "chat/tools/tool_set.h"
#include "quern/tools.h"

namespace quern::tools {

// Changes request.messages, request.tools and request.extra; what there is of tool calls must have OpenAI's shape.
// `offered`: whether calls are wanted; tool_choice none leaves the calls so far and takes the tools away.
// kInvalidArgument: messages of another shape.
Status prepare_tools(const ToolFormat& format, bool offered, ChatRequest& request);

// What one family's templates want of the list of tools beyond the common shape. prepare_tools() does it.
void fit_tools(const Family& family, ChatRequest& request);

// The rendered prompt with each of `calls`, sampled earlier and in the order of the conversation, written just as it
// was sampled: templates write JSON in a way of their own, and a prefix stays cached only if its bytes are the same. A
// call that is not found with its name and arguments is left as it is rendered. Linear.
std::string restore_calls(const ToolFormat& format, const ToolSet& tools, std::string_view prompt,
                          std::span<const ToolCall> calls);

}  // namespace quern::tools
