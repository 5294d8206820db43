// ToolFormat: how a model writes calls and reasoning, told from its own chat template, and what the template can and
// cannot do: found out by rendering, since templates fail or drop things in ways that their text does not show.
// Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/tools/family.h"

namespace quern::tools {

class ToolFormat {
 public:
  // The generic JSON format where the template is of no known family.
  static ToolFormat of(std::string_view source, const ChatTemplate& chat_template);
  // Every family's markers at once, and plain text: for a text whose writer is not known.
  static ToolFormat any();

  [[nodiscard]] std::string_view name() const { return family_->name; }
  [[nodiscard]] const Family& family() const { return *family_; }
  [[nodiscard]] const ReasoningMarks& reasoning() const { return *reasoning_; }
  [[nodiscard]] bool reads_all() const { return all_; }
  // Whether a prompt leaves the model within its reasoning: "<think>\n" at its end.
  [[nodiscard]] bool opens_reasoning(std::string_view prompt) const;

  // What the template renders by itself.
  struct Renders {
    bool system = true;         // a system message
    bool tools = false;         // the list of tools
    bool bare_tools = true;     // also such as have no more than a name
    bool calls = false;         // an assistant's tool_calls
    bool results = false;       // a message of the role tool
    bool null_content = false;  // calls of a message only when its content is null
    bool calls_with_content = false;
  };
  [[nodiscard]] const Renders& renders() const { return renders_; }

 private:
  const Family* family_ = &generic_family();
  const ReasoningMarks* reasoning_ = &default_reasoning();
  bool all_ = false;
  Renders renders_;
};

}  // namespace quern::tools
