#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|tool_call|>"};
constexpr Step kCall[] = {{.text = "<|tool_call|>"}, {Part::kArray}};

}  // namespace

// Granite 3: an array and nothing behind it. Source: its template.
const Family kGranite = {.name = "granite",
                         .speaks = [](std::string_view s) { return has(s, "<|tool_call|>"); },
                         .call = kCall,
                         .specials = kSpecials};

}  // namespace quern::tools
