#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<tool_call>", "</tool_call>", "<arg_key>",
                                          "</arg_key>",  "<arg_value>",  "</arg_value>"};
constexpr ParameterSyntax kLines = {.before_key = "<arg_key>",
                                    .after_key = "</arg_key>",
                                    .before_value = "\n<arg_value>",
                                    .after_value = "</arg_value>",
                                    .lead = {},
                                    .tail = {},
                                    .between = "\n"};
constexpr ParameterSyntax kTight = {.before_key = "<arg_key>",
                                    .after_key = "</arg_key>",
                                    .before_value = "<arg_value>",
                                    .after_value = "</arg_value>",
                                    .lead = {},
                                    .tail = {},
                                    .between = {}};
constexpr Step kLinesCall[] = {{.text = "<tool_call>"}, {Part::kName}, {Part::kParameters}, {.text = "\n</tool_call>"}};
constexpr Step kTightCall[] = {{.text = "<tool_call>"}, {Part::kName}, {Part::kParameters}, {.text = "</tool_call>"}};

}  // namespace

// GLM 4.5 and 4.6 with line breaks, 4.7 and later without. Source: their templates.
const Family kGlm = {.name = "glm",
                     .speaks = [](std::string_view s) { return has(s, "<arg_key>") && has(s, "</arg_key>\n"); },
                     .call = kLinesCall,
                     .between = "\n",
                     .parameters = &kLines,
                     .specials = kSpecials};
const Family kGlmTight = {.name = "glm-tight",
                          .speaks = [](std::string_view s) { return has(s, "<arg_key>"); },
                          .call = kTightCall,
                          .parameters = &kTight,
                          .specials = kSpecials};

}  // namespace quern::tools
