#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<|channel|>", "<|message|>", "<|constrain|>",
                                          "<|call|>",    "<|end|>",     "<|start|>"};
constexpr std::string_view kDropped[] = {"<|start|>assistant",
                                         "<|channel|>final<|message|>",
                                         "<|channel|>commentary<|message|>",
                                         "<|end|>",
                                         "<|return|>",
                                         "<|call|>"};
constexpr Step kCall[] = {{.text = "to=functions."},
                          {Part::kName},
                          {.text = " <|constrain|>json", .optional = true},
                          {.text = "<|channel|>commentary", .optional = true, .written = false},
                          {.text = "json", .optional = true, .written = false},
                          {.text = "<|constrain|>json", .optional = true, .written = false},
                          {.text = "<|message|>"},
                          {Part::kJson},
                          {.text = "<|call|>", .optional = true, .written = false}};
// The same behind the channel, so that its header does not come as text.
constexpr Step kChannelCall[] = {{.text = "<|channel|>commentary to=functions."},
                                 {Part::kName},
                                 {.text = "<|constrain|>json", .optional = true},
                                 {.text = "json", .optional = true},
                                 {.text = "<|message|>"},
                                 {Part::kJson},
                                 {.text = "<|call|>", .optional = true, .written = false}};
constexpr Family kChannel = {.name = "harmony-channel", .call = kChannelCall, .specials = kSpecials};
constexpr const Family* kAlso[] = {&kChannel};

}  // namespace

// gpt-oss. Source: "OpenAI harmony response format" (cookbook.openai.com). <|call|> ends generation: it is not written.
const Family kHarmony = {.name = "harmony",
                         .speaks = [](std::string_view s) { return has(s, "<|channel|>") && has(s, "to=functions."); },
                         .call = kCall,
                         .before_first = "<|channel|>commentary ",
                         .single = true,
                         .also = kAlso,
                         .specials = kSpecials,
                         .dropped = kDropped};

}  // namespace quern::tools
