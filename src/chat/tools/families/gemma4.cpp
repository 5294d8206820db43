#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|tool_call>", "<tool_call|>", "<|\"|>"};
constexpr std::string_view kDropped[] = {"<|tool_response>"};
constexpr Step kCall[] = {{.text = "<|tool_call>call:"}, {Part::kName}, {Part::kBareLiteral}, {.text = "<tool_call|>"}};

}  // namespace

// Gemma 4. Source: its template.
const Family kGemma4 = {.name = "gemma4",
                        .speaks = [](std::string_view s) { return has(s, "<|tool_call>call:"); },
                        .call = kCall,
                        .specials = kSpecials,
                        .dropped = kDropped};

}  // namespace quern::tools
