#include "cli/chat_loop.h"

#include <algorithm>
#include <cstdio>

#include "base/nearest.h"
#include "cli/answer.h"
#include "cli/conversation.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "os/file.h"
#include "os/paths.h"

namespace quern::cli {

namespace {

// Everything but answers goes to standard error, so that a redirected chat holds the answers alone.
void say(std::string_view text) {
  std::fflush(stdout);
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
}

enum class Action { kHelp, kClear, kExit };

struct ChatCommand {
  std::string_view name;
  std::string_view help;
  Action action;
};

constexpr ChatCommand kCommands[] = {
    {"/help", "this list", Action::kHelp},
    {"/clear", "forget the conversation", Action::kClear},
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
  ChatLoop(Engine& engine, const Context& context, Conversation conversation, const GenerateOptions& options)
      : engine_(engine), context_(context), conversation_(std::move(conversation)), options_(options) {}

  void run() {
    LineEditor editor(history_path());
    bool interrupted = false;  // the last thing that happened was Ctrl-C
    for (std::string line;;) {
      interrupt_.clear();
      const LineEditor::Outcome outcome = editor.read("> ", line);
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
      editor.remember(line);
      if (const auto word = command_word(line)) {
        if (!obey(*word)) return;
      } else {
        interrupted = reply(line);
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
    if (command->action == Action::kClear) conversation_.clear();
    return command->action != Action::kExit;
  }

  // Answers; true when that was interrupted. What fails does not end the chat.
  bool reply(const std::string& line) {
    const auto ids = conversation_.prompt(line);
    if (!ids) {
      context_.note(ids.error().message);
      return false;
    }
    const auto generation = answer_on_screen(engine_, context_, *ids, options_);
    interrupt_.clear();
    if (!generation) {
      const bool full = generation.error().code == ErrorCode::kTooLong;
      context_.note(generation.error().message + (full ? ": /clear forgets what was said" : ""));
      return false;
    }
    conversation_.say(line, generation->completions[0].text);
    say(fmt::format("[{}]\n", figures_line(engine_, *generation)));
    return generation->completions[0].reason == StopReason::kCancelled;
  }

  Engine& engine_;
  const Context& context_;
  Conversation conversation_;
  const GenerateOptions& options_;
  InterruptScope interrupt_;
};

}  // namespace

Result<int> chat_loop(Engine& engine, const Context& context, bool raw, const std::string& system,
                      const GenerateOptions& options) {
  QUERN_TRY(auto conversation, Conversation::create(engine, raw, system));
  const EngineInfo& info = engine.info();
  say(fmt::format("{}, {} tokens of context, {}, {} {} ({}). /help lists the commands.\n",
                  info.model_name.empty() ? info.architecture : info.model_name, info.n_ctx, info.isa, info.n_threads,
                  info.n_threads == 1 ? "thread" : "threads", info.threads_reason));
  if (!conversation.has_template()) {
    const std::string_view why = raw ? "Without a template" : "The model has no chat template:";
    say(fmt::format("{} each line is continued as it is, by itself.\n", why));
  }
  ChatLoop(engine, context, std::move(conversation), options).run();
  return kExitOk;
}

}  // namespace quern::cli
