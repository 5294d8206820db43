#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<tool_call>", "</tool_call>"};
constexpr Step kCall[] = {{.text = "<tool_call>\n"}, {Part::kObject}, {.text = "\n</tool_call>"}};

}  // namespace

// Hermes 2 Pro and later, Qwen 2.5 and 3, and many that follow them. Source: their templates.
const Family kHermes = {.name = "hermes",
                        .speaks = [](std::string_view s) { return has(s, "<tool_call>"); },
                        .call = kCall,
                        .between = "\n",
                        .specials = kSpecials};

}  // namespace quern::tools
