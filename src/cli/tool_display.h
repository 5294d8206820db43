// What the user sees of calls: the question before one, what ran, and the record of --json. One thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/context.h"
#include "cli/line_editor.h"
#include "cli/tool_chat.h"
#include "quern/quern.h"
#include "tools/agent.h"

namespace quern::cli {

// "Run date +%s? [y/N/a(lways)] ". Anything but y, yes, a, always refuses, so does Ctrl-C, which then also ends the
// answer.
toolbox::Permission ask_user(LineEditor& editor, const ToolCallPlan& plan);

// "[date +%s: exit code 0, 0.01 s, 11 bytes]" and the output's first lines.
std::string result_text(const toolbox::CallRecord& record);
// The same without the output: "exit code 0, 0.01 s".
std::string outcome_text(const toolbox::CallRecord& record);

nlohmann::json call_json(const toolbox::CallRecord& record);

// "3 rounds, 2 calls in 0.01 s; " and the figures of the last reply.
std::string turn_line(const Engine& engine, const ToolTurn& turn);
// The object of --json: text, end, rounds with their calls and figures.
nlohmann::json turn_json(const Engine& engine, const ToolTurn& turn);

// The direct path, with a prompt that needs no model: runs the call, its output on standard output and what ran beside.
toolbox::CallRecord run_directly(const Context& context, const ToolCallPlan& plan);

}  // namespace quern::cli
