#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|message_sep|>", "<|role_sep|>", "<|function_call|>"};
constexpr Step kCall3[] = {{.text = "function call<|role_sep|>\n"}, {Part::kObject}};
constexpr Step kCall31[] = {{.text = "<|function_call|>"}, {Part::kObject}};
constexpr std::string_view kDropped[] = {"<|message_sep|>"};

}  // namespace

// GigaChat 3: a call is a message of its own, which the same generation goes on to; 3.1: a marker. One call a reply:
// the message's end ends generation. Source: their templates.
const Family kGigaChat3 = {.name = "gigachat3",
                           .speaks =
                               [](std::string_view s) {
                                 return has(s, "function call") && has(s, "<|role_sep|>") &&
                                        !has(s, "<|function_call|>");
                               },
                           .call = kCall3,
                           .opener = "function call<|role_sep|>",
                           .before_first = "<|message_sep|>\n\n",
                           .single = true,
                           .specials = kSpecials,
                           .dropped = kDropped};
const Family kGigaChat31 = {.name = "gigachat3.1",
                            .speaks = [](std::string_view s) { return has(s, "<|function_call|>"); },
                            .call = kCall31,
                            .single = true,
                            .specials = kSpecials,
                            .dropped = kDropped};

}  // namespace quern::tools
