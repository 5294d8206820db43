// quern COMMAND [OPTIONS]: finds the command in the table and runs it.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "cli/commands.h"

namespace quern::cli {
namespace {

std::string help_text() {
  std::string text =
      "quern runs language models on the machine you have.\n\n"
      "Usage: quern COMMAND [OPTIONS]\n\nCommands:\n";
  for (const Command& command : commands()) text += fmt::format("  {:<14}{}\n", command.name, command.summary);
  return text +
         "\nOptions:\n"
         "  -h, --help    Print this text; quern COMMAND --help prints a command's options and examples\n"
         "  --version     Print the version\n"
         "\nExit codes: 0 done, 1 failed, 2 wrong usage.\n";
}

int unknown_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  const auto nearest = nearest_name(name, names);
  note(fmt::format("no command '{}'{} (see quern --help)", name,
                   nearest ? fmt::format("; did you mean {}?", *nearest) : ""));
  return kExitUsage;
}

int run(const std::vector<std::string>& args) {
  if (args.empty()) {
    fmt::print(stderr, "{}", help_text());
    return kExitUsage;
  }
  if (args[0] == "--help" || args[0] == "-h") {
    fmt::print("{}", help_text());
    return kExitOk;
  }
  if (args[0] == "--version") {
    fmt::print("quern {}\n", QUERN_VERSION);
    return kExitOk;
  }
  for (const Command& command : commands()) {
    if (command.name != args[0]) continue;
    Context context(command, std::span(args).subspan(1));
    return command.run(context);
  }
  return unknown_command(args[0]);
}

}  // namespace
}  // namespace quern::cli

int main(int argc, char** argv) {
  int code = quern::cli::kExitFailed;
  try {
    code = quern::cli::run({argv + (argc > 0), argv + argc});
  } catch (const std::exception& error) {  // ours are Results: this is memory running out, or a defect
    quern::cli::note(error.what());
  }
  // A full disk or a closed pipe shows only here; a script must not take half an output for the whole.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    quern::cli::note("standard output could not be written");
    return quern::cli::kExitFailed;
  }
  return code;
}
