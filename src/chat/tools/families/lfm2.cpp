#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|tool_call_start|>", "<|tool_call_end|>"};
constexpr Step kCall[] = {{.text = "<|tool_call_start|>"}, {Part::kPython}, {.text = "<|tool_call_end|>"}};

}  // namespace

// LFM2. Source: the model's card. Its later templates name no marker: the list of tools is how they begin.
const Family kLfm2 = {.name = "lfm2",
                      .speaks = [](std::string_view s) { return has(s, "List of tools: "); },
                      .call = kCall,
                      .specials = kSpecials};

}  // namespace quern::tools
