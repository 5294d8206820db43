#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<tool_calls>", "</tool_calls>"};
constexpr Step kCall[] = {{.text = "<tool_calls>"}, {Part::kArray}, {.text = "</tool_calls>"}};

}  // namespace

// Apriel 1.5 and 1.6. Source: its template.
const Family kApriel = {.name = "apriel",
                        .speaks = [](std::string_view s) { return has(s, "<tool_calls>["); },
                        .call = kCall,
                        .specials = kSpecials};

}  // namespace quern::tools
