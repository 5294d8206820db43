#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<tool_call>", "</tool_call>"};
constexpr ParameterSyntax kParameters = {.before_key = "<parameter=",
                                         .after_key = ">",
                                         .before_value = {},
                                         .after_value = "</parameter>",
                                         .lead = "\n",
                                         .tail = "\n",
                                         .between = "\n"};
constexpr Step kCall[] = {
    {.text = "<tool_call>\n<function="}, {Part::kName}, {.text = ">"}, {Part::kParameters}, {.text = "\n</function>"},
    {.text = "\n</tool_call>"}};
constexpr std::string_view kSeedSpecials[] = {"<seed:tool_call>", "</seed:tool_call>"};
constexpr ParameterSyntax kSeedParameters = {.before_key = "<parameter=",
                                             .after_key = ">",
                                             .before_value = {},
                                             .after_value = "</parameter>",
                                             .lead = {},
                                             .tail = {},
                                             .between = "\n"};
constexpr Step kSeedCall[] = {{.text = "<seed:tool_call>\n<function="},
                              {Part::kName},
                              {.text = ">"},
                              {Part::kParameters},
                              {.text = "\n</function>"},
                              {.text = "\n</seed:tool_call>"}};

}  // namespace

// Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5. Source: their templates.
const Family kQwenCoder = {.name = "qwen-coder",
                           .speaks = [](std::string_view s) { return has(s, "<tool_call>") && has(s, "<function="); },
                           .call = kCall,
                           .between = "\n",
                           .parameters = &kParameters,
                           .specials = kSpecials};

// Seed-OSS. Source: its template.
const Family kSeed = {.name = "seed",
                      .speaks = [](std::string_view s) { return has(s, "<seed:tool_call>"); },
                      .call = kSeedCall,
                      .between = "\n",
                      .parameters = &kSeedParameters,
                      .specials = kSeedSpecials};

}  // namespace quern::tools
