#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|tools_prefix|>", "<|tools_suffix|>"};
constexpr Step kCall[] = {{.text = "<|tools_prefix|>"}, {Part::kArray}, {.text = "<|tools_suffix|>"}};

}  // namespace

// Apertus. Source: its template.
const Family kApertus = {.name = "apertus",
                         .speaks = [](std::string_view s) { return has(s, "<|tools_prefix|>"); },
                         .call = kCall,
                         .keys = {.name_is_key = true},
                         .specials = kSpecials};

}  // namespace quern::tools
