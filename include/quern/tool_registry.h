// ToolRegistry: the tools that a model may call, and the only way to run one. Tools are declared in a file
// (docs/agent.md, examples/tools.yaml) or added by the program; a call is checked first, shown to whoever must allow
// it, and then run:
//
//   auto tools = quern::ToolRegistry::load("tools.yaml");
//   auto call = tools->prepare("list_files", R"({"folder": "/tmp"})");  // an error's message is for the model
//   if (call && allowed(call->shown())) send_back(call->run().text);
//
// What runs is what shown() says, of long inputs and bodies their beginning: a command's arguments go to the program as
// they are, never through a shell. Texts of JSON are UTF-8. Threads: add() by one thread at a time and nobody else; the
// rest, and calls, by any. Nothing throws or prints.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/result.h"

namespace quern {

namespace toolbox {
struct Tool;
}

struct ToolInfo {
  std::string name;
  std::string description;
  std::string parameters;           // JSON schema of the arguments, an object's
  std::string kind;                 // "command", "http", "builtin", "function"
  bool confirm = true;              // somebody should be asked before each call
  bool takes_no_arguments = false;  // an empty object is a valid call
};

// What a call gave.
struct ToolOutput {
  bool ok = false;   // it ran to its end and says that it succeeded: exit code 0, HTTP status below 400
  std::string text;  // for the model: valid UTF-8 of about the tool's output_limit, or why there is no output
  std::optional<int> exit_code;    // of a command that ended; 128 + signal where a signal ended it
  std::optional<int> http_status;  // of an answer
  double seconds = 0;
  bool cut = false;  // there was more; `text` says so
  bool timed_out = false;
  bool cancelled = false;
};

// A call that has been checked. A value; outlives its registry; each copy may be run by any thread, any number of
// times.
class ToolCallPlan {
 public:
  using Cancelled = std::function<bool()>;  // polled several times a second; true ends the call

  [[nodiscard]] const ToolInfo& tool() const { return info_; }
  [[nodiscard]] const std::string& arguments() const { return arguments_; }  // as JSON
  // "date +%s", "GET https://...", "calculator 1+2": one line without control characters.
  [[nodiscard]] const std::string& shown() const { return shown_; }
  // Blocks until it is done, for the tool's timeout at most (a function's as long as it takes).
  [[nodiscard]] ToolOutput run(const Cancelled& cancelled = {}) const { return run_(cancelled); }

 private:
  friend class ToolRegistry;
  ToolInfo info_;
  std::string arguments_, shown_;
  std::function<ToolOutput(const Cancelled&)> run_;
};

class ToolRegistry {
 public:
  ToolRegistry() = default;
  // kInvalidArgument carries everything that is wrong with the file, one problem a line: "tools.yaml:12:5: ...".
  static Result<ToolRegistry> load(const std::string& path);
  // The same, from the text of a file called `name`.
  static Result<ToolRegistry> parse(std::string_view name, std::string_view text);

  // A tool that is a function of the program. It gets the checked arguments, a JSON object, and gives the text for the
  // model; an error's message goes to the model too.
  struct Function {
    std::string name;
    std::string description;
    std::string parameters = "{}";  // JSON schema of the arguments, an object's; empty: none
    bool confirm = true;
    std::function<Result<std::string>(const std::string& arguments)> call;
  };
  // kInvalidArgument: the name is taken or no name, or the schema is none; kUnsupported: it has a keyword that calls
  // cannot be checked by.
  Status add(Function function);

  [[nodiscard]] bool empty() const { return tools_.empty(); }
  [[nodiscard]] std::vector<ToolInfo> list() const;  // in the order of the file
  [[nodiscard]] std::optional<ToolInfo> find(std::string_view name) const;
  // OpenAI's `tools` array, as JSON: what chat templates and the grammars of calls take.
  [[nodiscard]] std::string definitions() const;

  // Checks a call: kNotFound names the nearest tool, kInvalidArgument everything that is wrong with the arguments.
  [[nodiscard]] Result<ToolCallPlan> prepare(std::string_view name, std::string_view arguments_json) const;

 private:
  std::vector<std::shared_ptr<const toolbox::Tool>> tools_;
};

}  // namespace quern
