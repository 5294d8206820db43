// JsonCalls: reads calls written as JSON, byte by byte: {"name": .., "arguments": {..}}, its spellings (tool_name,
// parameters, {"function": {..}}), an array of them, or {"tool_calls": [..]}. Arguments are handed on as they come,
// once the name is known. CallSink is where calls go.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tools/json_scanner.h"
#include "chat/tools/tool_set.h"

namespace quern::tools {

// begin, arguments any number of times (their texts together are a JSON object), end; for each call.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void begin(const Tool& tool, std::string_view id) = 0;
  virtual void arguments(std::string_view json) = 0;
  virtual void end() = 0;
};

class JsonCalls {
 public:
  enum class State : uint8_t { kMore, kDone, kFailed };

  // `closed`: a key that no call has ends the reading: in plain text, any JSON may come.
  JsonCalls(const ToolSet& tools, CallSink& sink, bool closed) : tools_(tools), sink_(sink), closed_(closed) {}
  State feed(char c);
  [[nodiscard]] const std::string& problem() const { return problem_; }
  // Between two calls: a text that ends here has lost none.
  [[nodiscard]] bool between_calls() const { return calls_ > 0 && !in_call_; }

 private:
  enum class Expect : uint8_t {
    kStart,
    kElement,
    kElementOrEnd,
    kElementEnd,
    kKeyOrEnd,
    kKey,
    kInKey,
    kColon,
    kValue,
    kInValue,
    kCommaOrEnd
  };
  enum class Frame : uint8_t { kArray, kObject, kWrapper, kFunction };
  State fail(std::string problem);
  State open(Frame frame);
  State close();
  State begin_value(char c);
  State in_value(char c);
  State value_ended();
  State text_value(const std::string& text);
  State named(const Tool& tool);

  const ToolSet& tools_;
  CallSink& sink_;
  bool closed_;
  Expect expect_ = Expect::kStart;
  std::vector<Frame> frames_;
  JsonScanner scanner_;
  std::string key_, value_;
  bool escaped_ = false;
  std::string problem_;
  size_t calls_ = 0;

  // The call that is being read.
  bool in_call_ = false, arguments_done_ = false, streamed_ = false;
  const Tool* tool_ = nullptr;
  std::string id_, arguments_;
};

// The text of a JSON string with its quotes; absent when it is none.
std::optional<std::string> json_string(std::string_view quoted);

}  // namespace quern::tools
