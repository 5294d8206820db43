#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr std::string_view kSpecials[] = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
                                          "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"};
constexpr Step kBegin[] = {{.text = "<｜tool▁calls▁begin｜>"}};
constexpr Step kCall[] = {{.text = "<｜tool▁call▁begin｜>"},
                          {.text = "function<｜tool▁sep｜>", .optional = true},
                          {Part::kName},
                          {.text = "<｜tool▁sep｜>", .optional = true, .written = false},
                          {Part::kSecondName},
                          {.text = "\n```", .optional = true},
                          {.text = "json\n", .optional = true},
                          {Part::kJson},
                          {.text = "\n```", .optional = true},
                          {.text = "<｜tool▁call▁end｜>"}};
constexpr Step kEnd[] = {{.text = "<｜tool▁calls▁end｜>"}};

}  // namespace

// DeepSeek V3 and R1; V3.1's form, the name before the separator and no fence, is read too. Source: the models'
// templates.
const Family kDeepSeek = {.name = "deepseek",
                          .speaks = [](std::string_view s) { return has(s, "<｜tool▁call"); },
                          .begin = kBegin,
                          .call = kCall,
                          .end = kEnd,
                          .between = "\n",
                          .specials = kSpecials};

}  // namespace quern::tools
