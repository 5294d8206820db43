#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr Step kCall[] = {{.text = "<function="}, {Part::kName}, {.text = ">"}, {Part::kJson}, {.text = "</function>"}};

}  // namespace

// Functionary v3.1. Source: its template.
const Family kFunctionary = {.name = "functionary",
                             .speaks = [](std::string_view s) { return has(s, "<function=") && has(s, "</function>"); },
                             .call = kCall};

}  // namespace quern::tools
