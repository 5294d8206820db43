#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"｜DSML｜"};
constexpr ParameterSyntax kParameters = {.before_key = "<｜DSML｜parameter name=\"",
                                         .after_key = "\" string=\"",
                                         .before_value = "\">",
                                         .after_value = "</｜DSML｜parameter>",
                                         .lead = {},
                                         .tail = {},
                                         .between = "\n",
                                         .typed = true};
constexpr Step kCallsBegin[] = {{.text = "<｜DSML｜function_calls>\n"}};
constexpr Step kToolsBegin[] = {{.text = "<｜DSML｜tool_calls>\n"}};
constexpr Step kCall[] = {{.text = "<｜DSML｜invoke name=\""},
                          {Part::kName},
                          {.text = "\">"},
                          {Part::kParameters},
                          {.text = "\n</｜DSML｜invoke>"}};
constexpr Step kCallsEnd[] = {{.text = "\n</｜DSML｜function_calls>"}};
constexpr Step kToolsEnd[] = {{.text = "\n</｜DSML｜tool_calls>"}};

}  // namespace

// DeepSeek V3.2 (function_calls) and V4 (tool_calls). Source: the encodings that the makers publish with the models.
const Family kDeepSeekDsmlCalls = {
    .name = "deepseek-v3.2",
    .speaks = [](std::string_view s) { return has(s, "function_calls") && has(s, "｜DSML｜"); },
    .begin = kCallsBegin,
    .call = kCall,
    .end = kCallsEnd,
    .between = "\n",
    .parameters = &kParameters,
    .specials = kSpecials};
const Family kDeepSeekDsmlTools = {.name = "deepseek-v4",
                                   .speaks = [](std::string_view s) { return has(s, "｜DSML｜"); },
                                   .begin = kToolsBegin,
                                   .call = kCall,
                                   .end = kToolsEnd,
                                   .between = "\n",
                                   .parameters = &kParameters,
                                   .specials = kSpecials};

}  // namespace quern::tools
