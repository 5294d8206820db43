#include "chat/tools/families/rows.h"

namespace quern::tools {
namespace {

constexpr Step kArrayCall[] = {{Part::kArray}};
constexpr Step kPythonCall[] = {{Part::kPython}};
constexpr Step kFencedJsonCall[] = {
    {.text = "```"}, {.text = "json", .optional = true}, {Part::kArray}, {.text = "```", .optional = true}};
constexpr Step kFencedPythonCall[] = {{.text = "```"},
                                      {.text = "python", .optional = true},
                                      {.text = "tool_code", .optional = true},
                                      {Part::kPython},
                                      {.text = "```", .optional = true}};

}  // namespace

// For models whose template knows no tools; tool_prompt.cpp writes the system message that asks for it.
const Family kGeneric = {.name = "generic",
                         .call = kArrayCall,
                         .opener = "{",
                         .where = Where::kReplyStart,
                         .quiet = true,
                         .array = {.begin = "{\"tool_calls\": [", .between = ", ", .end = "]}"}};

// Calls as plain text.
const Family kFencedJson = {
    .name = "fenced-json", .call = kFencedJsonCall, .opener = "```", .where = Where::kLineStart, .quiet = true};
const Family kFencedPython = {
    .name = "fenced-python", .call = kFencedPythonCall, .opener = "```", .where = Where::kLineStart, .quiet = true};
const Family kBareJson = {
    .name = "bare-json", .call = kArrayCall, .opener = "{", .where = Where::kLineStart, .quiet = true};
const Family kBareArray = {
    .name = "bare-array", .call = kArrayCall, .opener = "[", .where = Where::kLineStart, .quiet = true};
const Family kPythonList = {
    .name = "python-list", .call = kPythonCall, .opener = "[", .where = Where::kLineStart, .quiet = true};
// Its openers are the tools' names, each with '('.
const Family kPythonLine = {
    .name = "python-line", .call = kPythonCall, .opener = "(", .where = Where::kLineStart, .quiet = true};

}  // namespace quern::tools
