#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
                                          "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"};
constexpr Step kBegin[] = {{.text = "<|tool_calls_section_begin|>"}};
constexpr Step kCall[] = {{.text = "<|tool_call_begin|>"},
                          {Part::kNumberedName},
                          {.text = "<|tool_call_argument_begin|>"},
                          {Part::kJson},
                          {.text = "<|tool_call_end|>"}};
constexpr Step kEnd[] = {{.text = "<|tool_calls_section_end|>"}};

}  // namespace

// Kimi K2. Source: "Tool call guidance" that is published with the model.
const Family kKimi = {.name = "kimi",
                      .speaks = [](std::string_view s) { return has(s, "<|tool_calls_section_begin|>"); },
                      .begin = kBegin,
                      .call = kCall,
                      .end = kEnd,
                      .specials = kSpecials};

}  // namespace quern::tools
