#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|python_tag|>"};
constexpr Step kTagged[] = {{.text = "<|python_tag|>"}, {Part::kObject}};
constexpr Step kTaggedPython[] = {{.text = "<|python_tag|>"}, {Part::kPython}};
constexpr Step kCall[] = {{Part::kObject}};
constexpr Family kTag = {.name = "llama3-tag", .call = kTagged, .specials = kSpecials};
constexpr Family kTagPython = {.name = "llama3-tag-python", .call = kTaggedPython, .specials = kSpecials};
constexpr const Family* kAlso[] = {&kTag, &kTagPython};

}  // namespace

// Llama 3.1 to 3.3: the reply is the bare object; <|python_tag|> before it or before name.call(..). One call a reply.
// Source: "Llama 3.1 model cards and prompt formats" (llama.com), and their templates.
const Family kLlama3 = {.name = "llama3",
                        .speaks = [](std::string_view s) { return has(s, "ipython") && has(s, "\"parameters\": "); },
                        .call = kCall,
                        .opener = "{",
                        .where = Where::kReplyStart,
                        .quiet = true,
                        .single = true,
                        .keys = {.name = "name", .arguments = "parameters"},
                        .also = kAlso,
                        .specials = kSpecials};

}  // namespace quern::tools
