#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
constexpr Step kArrayCall[] = {{.text = "[TOOL_CALLS]"}, {Part::kArray}};
constexpr Step kNamedCall[] = {{.text = "[TOOL_CALLS]"},
                               {Part::kName},
                               {.text = "[CALL_ID]", .optional = true, .written = false},
                               {Part::kId, {}, true, false},
                               {.text = "[ARGS]", .optional = true},
                               {Part::kJson}};
constexpr Step kIdCall[] = {{.text = "[TOOL_CALLS]"},
                            {Part::kName},
                            {.text = "[CALL_ID]", .optional = true},
                            {Part::kId, {}, true},
                            {.text = "[ARGS]", .optional = true},
                            {Part::kJson}};

}  // namespace

// Mistral writes calls in three ways, by the version of its tokenizer: an array (v3), name and id (v11), name (v13).
// Source: mistral-common's documentation of tokenizers, and the templates.
const Family kMistralIds = {.name = "mistral-ids",
                            .speaks = [](std::string_view s) { return has(s, "[TOOL_CALLS]") && has(s, "[CALL_ID]"); },
                            .call = kIdCall,
                            .nine_ids = true,
                            .specials = kSpecials};
const Family kMistralNamed = {.name = "mistral-named",
                              .speaks = [](std::string_view s) { return has(s, "[TOOL_CALLS]") && has(s, "[ARGS]"); },
                              .call = kNamedCall,
                              .nine_ids = true,
                              .specials = kSpecials};
const Family kMistralArray = {.name = "mistral-array",
                              .speaks = [](std::string_view s) { return has(s, "[TOOL_CALLS]"); },
                              .call = kArrayCall,
                              .nine_ids = true,
                              .specials = kSpecials};

}  // namespace quern::tools
