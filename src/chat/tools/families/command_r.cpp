#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|START_ACTION|>", "<|END_ACTION|>"};
constexpr std::string_view kDropped[] = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"};
constexpr Step kCall[] = {{.text = "<|START_ACTION|>"}, {Part::kArray}, {.text = "<|END_ACTION|>"}};
constexpr Step kPlusCall[] = {{.text = "Action:"}, {.text = "\n```json\n"}, {Part::kArray}, {.text = "```"}};

}  // namespace

// Command R7B and Command A; Command R+. Source: their templates.
const Family kCommandR7b = {.name = "command-r7b",
                            .speaks = [](std::string_view s) { return has(s, "<|START_ACTION|>"); },
                            .call = kCall,
                            .keys = {.name = "tool_name", .arguments = "parameters", .id = "tool_call_id"},
                            .array = {.begin = "[\n    ", .between = ",\n    ", .end = "\n]"},
                            .specials = kSpecials,
                            .dropped = kDropped};
const Family kCommandRPlus = {.name = "command-r-plus",
                              .speaks = [](std::string_view s) { return has(s, "Action:") && has(s, "tool_name"); },
                              .call = kPlusCall,
                              .quiet = true,
                              .python_types = true,
                              .keys = {.name = "tool_name", .arguments = "parameters"},
                              .array = {.begin = "[\n    ", .between = ",\n    ", .end = "\n]"}};

}  // namespace quern::tools
