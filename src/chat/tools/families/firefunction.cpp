#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr Step kCall[] = {{.text = "functools"}, {Part::kArray}};

}  // namespace

// Firefunction v2. Source: its template.
const Family kFirefunction = {.name = "firefunction",
                              .speaks = [](std::string_view s) { return has(s, "functools["); },
                              .call = kCall,
                              .quiet = true,
                              .variables = true};

}  // namespace quern::tools
