#include "tools/command.h"

#include <algorithm>

#include "base/clock.h"
#include "os/env.h"
#include "os/process.h"
#include "tools/text.h"
#include "tools/value_text.h"

namespace quern::toolbox {

namespace {

constexpr size_t kMaxElementBytes = 100'000;  // Linux takes 128 KiB
constexpr size_t kMaxLineBytes = 1'000'000;
constexpr uint64_t kMaxDroppedBytes = uint64_t{64} << 20;  // of an output that has long been cut
constexpr size_t kShownInput = 200;

// One element of the list for each value of the list that it has, else once; nothing where an argument is absent.
Status expand(const Pattern& pattern, const Json& arguments, std::vector<std::string>& out) {
  std::vector<std::string> texts = {""};
  for (const PatternPiece& piece : pattern.pieces) {
    std::vector<std::string> values = {piece.text};
    if (piece.is_argument) {
      const auto at = arguments.find(piece.text);
      if (at == arguments.end()) return {};
      values.clear();
      if (at->is_array()) {
        for (const Json& item : *at) values.push_back(value_text(item));
      } else {
        values.push_back(value_text(*at));
      }
    }
    // At most one list in an element: the file's reader saw to it.
    if (values.size() != 1) {
      std::vector<std::string> longer;
      for (const std::string& value : values) longer.push_back(texts[0] + value);
      texts = std::move(longer);
      if (texts.empty()) return {};
    } else {
      for (std::string& text : texts) text += values[0];
    }
  }
  for (std::string& text : texts) {
    if (text.size() > kMaxElementBytes) {
      return fail_f(ErrorCode::kInvalidArgument, "a value of {} bytes is too long for a command line", text.size());
    }
    out.push_back(std::move(text));
  }
  return {};
}

// The name of the string argument that begins the element, or null.
const std::string* leading_string(const Pattern& pattern, const Json& arguments) {
  if (pattern.pieces.empty() || !pattern.pieces[0].is_argument) return nullptr;
  const auto at = arguments.find(pattern.pieces[0].text);
  const bool text = at != arguments.end() && !at->is_number();
  return text ? &pattern.pieces[0].text : nullptr;
}

std::vector<std::pair<std::string, std::string>> environment_of(const CommandTool& command) {
  auto result = command.environment;
  const auto pass_on = [&](const std::string& name) {
    const bool set = std::any_of(result.begin(), result.end(), [&](const auto& pair) { return pair.first == name; });
    if (set) return;
    if (auto value = env_get(name.c_str())) result.emplace_back(name, std::move(*value));
  };
  for (const char* name : kPassedOn) pass_on(name);
  for (const std::string& name : command.inherit) pass_on(name);
  return result;
}

std::string shown_command(const std::vector<std::string>& argv, const std::string& input) {
  std::string text;
  for (const std::string& element : argv) text += (text.empty() ? "" : " ") + shell_quoted(element);
  if (input.empty()) return text;
  const bool all = input.size() <= kShownInput;
  text += " with the input " + shell_quoted(std::string_view(input).substr(0, kShownInput));
  return all ? text : text + fmt::format("... ({} bytes)", input.size());
}

struct Kept {
  std::string text;
  uint64_t dropped = 0;
};

// What the model is told of a program that ran.
std::string result_text(const Kept& out, const ProcessResult& done, size_t limit) {
  std::string text;
  if (done.exit_code != 0) text = fmt::format("exit code {}\n", done.exit_code);
  text += model_text(out.text, limit, out.dropped);
  const bool errors = !done.error_text.empty() && (done.exit_code != 0 || out.text.empty());
  if (errors) {
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += model_text(done.error_text, limit, 0);
  }
  return text.empty() ? "(no output)" : text;
}

ToolOutput run_command(const Tool& tool, const std::vector<std::string>& argv, const std::string& input,
                       const ToolCallPlan::Cancelled& cancelled) {
  const auto& command = std::get<CommandTool>(tool.what);
  ToolOutput output;
  Kept out;
  const double start = now_s();
  const auto done =
      run_process({.argv = argv,
                   .environment = environment_of(command),
                   .on_output = [&](std::span<const std::byte> bytes) -> Status {
                     const size_t room =
                         tool.output_limit + 4 - out.text.size();  // a character more, so that the cut is between two
                     const size_t n = std::min(room, bytes.size());
                     out.text.append(reinterpret_cast<const char*>(bytes.data()), n);
                     out.dropped += bytes.size() - n;
                     if (out.dropped > kMaxDroppedBytes)
                       return fail(ErrorCode::kResource, "it wrote without end and was stopped");
                     return {};
                   },
                   .keep_going = [&] { return !cancelled || !cancelled(); },
                   .own_session = true,
                   .own_environment = true,
                   .directory = command.directory,
                   .input = input,
                   .timeout_s = tool.timeout_s});
  output.seconds = now_s() - start;
  output.cut = out.dropped > 0 || out.text.size() > tool.output_limit;
  if (done) {
    output.exit_code = done->exit_code;
    output.ok = done->exit_code == 0;
    output.text = result_text(out, *done, tool.output_limit);
    return output;
  }
  output.timed_out = done.error().code == ErrorCode::kTimeout;
  output.cancelled = done.error().code == ErrorCode::kCancelled;
  output.text = done.error().message;
  if (!out.text.empty()) output.text += "; until then:\n" + model_text(out.text, tool.output_limit, out.dropped);
  return output;
}

}  // namespace

Result<std::vector<std::string>> command_line(const CommandTool& command, const Json& arguments) {
  std::vector<std::string> argv;
  bool options_ended = command.allow_options;
  size_t bytes = 0;
  for (const Pattern& pattern : command.argv) {
    const size_t before = argv.size();
    QUERN_CHECK_OK(expand(pattern, arguments, argv));
    const std::string* leading = options_ended ? nullptr : leading_string(pattern, arguments);
    for (size_t i = before; i < argv.size(); ++i) {
      bytes += argv[i].size() + 1;
      if (argv[i].find('\0') != std::string::npos) {
        return fail(ErrorCode::kInvalidArgument, "a value has a NUL character, which no command line can hold");
      }
      if (leading != nullptr && argv[i].starts_with('-') && argv[i] != "-") {
        return fail_f(ErrorCode::kInvalidArgument,
                      "{} must not begin with '-': the program would take it for an option", *leading);
      }
    }
    options_ended = options_ended || (argv.size() > before && argv.back() == "--" && !pattern.has_arguments());
    if (bytes > kMaxLineBytes) return fail(ErrorCode::kInvalidArgument, "the command line is too long");
  }
  return argv;
}

Result<Action> command_action(std::shared_ptr<const Tool> tool, const Json& arguments) {
  const auto& command = std::get<CommandTool>(tool->what);
  QUERN_TRY(const std::vector<std::string> argv, command_line(command, arguments));
  std::string input;
  if (const auto at = arguments.find(command.input_argument); at != arguments.end()) input = value_text(*at);
  return Action{shown_command(argv, input), [tool, argv, input](const ToolCallPlan::Cancelled& cancelled) {
                  return run_command(*tool, argv, input, cancelled);
                }};
}

}  // namespace quern::toolbox
