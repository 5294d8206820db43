#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<minimax:tool_call>", "</minimax:tool_call>"};
constexpr ParameterSyntax kParameters = {.before_key = "<parameter name=\"",
                                         .after_key = "\">",
                                         .before_value = {},
                                         .after_value = "</parameter>",
                                         .lead = {},
                                         .tail = {},
                                         .between = "\n"};
constexpr Step kBegin[] = {{.text = "<minimax:tool_call>\n"}};
constexpr Step kCall[] = {
    {.text = "<invoke name=\""}, {Part::kName}, {.text = "\">"}, {Part::kParameters}, {.text = "\n</invoke>"}};
constexpr Step kEnd[] = {{.text = "\n</minimax:tool_call>"}};

}  // namespace

// MiniMax M2. Source: "Tool calling guide" that is published with the model.
const Family kMiniMax = {.name = "minimax",
                         .speaks = [](std::string_view s) { return has(s, "minimax:tool_call"); },
                         .begin = kBegin,
                         .call = kCall,
                         .end = kEnd,
                         .between = "\n",
                         .parameters = &kParameters,
                         .specials = kSpecials};

// The same without the section, as other models write it.
const Family kInvoke = {.name = "invoke", .call = kCall, .parameters = &kParameters};

}  // namespace quern::tools
