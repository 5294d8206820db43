#include "cli/chat_loop.h"

#include <algorithm>
#include <cstdio>

#include "base/nearest.h"
#include "cli/answer.h"
#include "cli/conversation.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/tool_chat.h"
#include "cli/tool_display.h"
#include "os/file.h"
#include "os/paths.h"

namespace quern::cli {

namespace {

// Everything but answers goes to standard error, so that a redirected chat holds the answers alone.

enum class Action { kHelp, kClear, kTools, kExit };

struct ChatCommand {
  std::string_view name;
  std::string_view help;
  Action action;
};

constexpr ChatCommand kCommands[] = {
    {"/help", "this list", Action::kHelp},
    {"/clear", "forget the conversation", Action::kClear},
    {"/tools", "the tools that the model may call", Action::kTools},
    {"/exit", "leave, as do Ctrl-D and a second Ctrl-C", Action::kExit},
};

// The first word where it looks like a command: "/etc/hosts" and a slash after a space are text.
std::optional<std::string_view> command_word(std::string_view line) {
  const std::string_view word = line.substr(0, line.find(' '));
  const bool letters =
      std::all_of(word.begin() + !word.empty(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return word.size() > 1 && word[0] == '/' && letters ? std::optional(word) : std::nullopt;
}

std::string help_text() {
  std::string text;
  for (const ChatCommand& command : kCommands) text += fmt::format("  {:<8} {}\n", command.name, command.help);
  return text + "Ctrl-C ends an answer. A line that begins with a space is never a command.\n";
}

// In the folder of what a user would miss; empty where there is none.
std::string history_path() {
  const auto folder = config_folder();
  return folder && make_folders(*folder) ? *folder + "/history" : "";
}

class ChatLoop {
 public:
  // `tools`: answers with tools in place of `conversation`; null: there are none.
  ChatLoop(Engine& engine, const Context& context, const ChatSettings& settings, Conversation conversation,
           std::unique_ptr<ToolChat> tools)
      : engine_(engine),
        context_(context),
        settings_(settings),
        conversation_(std::move(conversation)),
        tools_(std::move(tools)),
        editor_(history_path()) {}

  void run() {
    bool interrupted = false;  // the last thing that happened was Ctrl-C
    for (std::string line;;) {
      interrupt_.clear();
      const LineEditor::Outcome outcome = editor_.read("> ", line);
      if (outcome == LineEditor::Outcome::kEnd) return say("\n");
      if (outcome == LineEditor::Outcome::kInterrupted) {
        say("\n");
        if (interrupted && line.empty()) return;
        if (line.empty()) say("Ctrl-C again leaves.\n");
        interrupted = true;
        continue;
      }
      interrupted = false;
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      editor_.remember(line);
      if (const auto word = command_word(line)) {
        if (!obey(*word)) return;
      } else {
        interrupted = tools_ ? reply_with_tools(line) : reply(line);
      }
    }
  }

 private:
  // False ends the chat.
  bool obey(std::string_view word) {
    const auto* command =
        std::find_if(std::begin(kCommands), std::end(kCommands), [&](const ChatCommand& c) { return c.name == word; });
    if (command == std::end(kCommands)) {
      say(fmt::format("no command {}\n{}", word, help_text()));
      return true;
    }
    if (command->action == Action::kHelp) say(help_text());
    if (command->action == Action::kClear) {
      conversation_.clear();
      if (tools_) tools_->clear();
    }
    if (command->action == Action::kTools) {
      say(settings_.tools ? tools_text(*settings_.tools) : "There are none; quern run --tools FILE brings them.\n");
    }
    return command->action != Action::kExit;
  }

  // Answers; true when that was interrupted. What fails does not end the chat.
  bool reply(const std::string& line) {
    const auto ids = conversation_.prompt(line);
    if (!ids) {
      context_.note(ids.error().message);
      return false;
    }
    const auto generation = answer_on_screen(engine_, context_, *ids, settings_.generate);
    interrupt_.clear();
    if (!generation) {
      tell(generation.error());
      return false;
    }
    conversation_.say(line, generation->completions[0].text);
    say(fmt::format("[{}]\n", figures_line(engine_, *generation)));
    return generation->completions[0].reason == StopReason::kCancelled;
  }

  void tell(const Error& error) {
    context_.note(error.message + (error.code == ErrorCode::kTooLong ? ": /clear forgets what was said" : ""));
  }

  // The same with tools; a line that is a tool's name is no matter of the model, nor of the conversation.
  bool reply_with_tools(const std::string& line) {
    if (const auto plan = toolbox::direct_call(*settings_.tools, line)) {
      const auto record = run_directly(context_, *plan);
      interrupt_.clear();
      return record.output.cancelled;
    }
    const auto turn = tools_->turn(line, interrupt_, &editor_);
    interrupt_.clear();
    if (!turn) {
      tell(turn.error());
      return false;
    }
    say(fmt::format("[{}]\n", turn_line(engine_, *turn)));
    return turn->run.end == toolbox::AgentEnd::kStopped;
  }

  Engine& engine_;
  const Context& context_;
  const ChatSettings& settings_;
  Conversation conversation_;
  std::unique_ptr<ToolChat> tools_;
  InterruptScope interrupt_;
  LineEditor editor_;
};

}  // namespace

Result<int> chat_loop(Engine& engine, const Context& context, const ChatSettings& settings) {
  QUERN_TRY(auto conversation, Conversation::create(engine, settings.raw, settings.system));
  std::unique_ptr<ToolChat> tools;
  if (settings.tools != nullptr) {
    QUERN_TRY(tools, ToolChat::create(
                         engine, context, *settings.tools,
                         {.system = settings.system, .tools = settings.tool_options, .generate = settings.generate}));
  }
  const EngineInfo& info = engine.info();
  say(fmt::format("{}, {} tokens of context, {}, {} {} ({}). /help lists the commands.\n",
                  info.model_name.empty() ? info.architecture : info.model_name, info.n_ctx, info.isa, info.n_threads,
                  info.n_threads == 1 ? "thread" : "threads", info.threads_reason));
  if (!conversation.has_template()) {
    const std::string_view why = settings.raw ? "Without a template" : "The model has no chat template:";
    say(fmt::format("{} each line is continued as it is, by itself.\n", why));
  }
  ChatLoop(engine, context, settings, std::move(conversation), std::move(tools)).run();
  return kExitOk;
}

}  // namespace quern::cli
