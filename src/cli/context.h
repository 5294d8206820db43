// Context: one invocation of a command, its arguments and its ways out. A command is a function
//
//   int list_command(Context& context) {
//     ListOptions options;
//     if (auto code = context.parse(options, "  quern list --json\n")) return *code;
//     ...
//     return kExitOk;
//   }
//
// Data goes to standard output by print(); every message goes to standard error as "quern: MESSAGE". One thread.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/options.h"

namespace quern::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct Command;

// To standard error: "quern: MESSAGE". Control characters that it quotes are escaped.
void note(std::string_view message);
// To standard error as it is, behind all that was printed.
void say(std::string_view text);

class Context {
 public:
  Context(const Command& command, std::span<const std::string> args) : command_(command), args_(args) {}

  // Fills options (a struct with fields(), see cli/options.h) from the arguments. A returned code ends the command:
  // help was asked for and printed (0), or the arguments are wrong and that was said (2). `examples` are lines for
  // --help, indented by two spaces.
  template <class Options>
  std::optional<int> parse(Options& options, std::string_view examples) const {
    const std::vector<Field> fields = options.fields();
    return parse_table(fields, examples);
  }

  // The ways to fail: each prints its message and returns the exit code.
  [[nodiscard]] int failed(const Error& error) const;             // 1
  [[nodiscard]] int usage_error(std::string_view message) const;  // 2, and points to --help

  void print(std::string_view text) const;             // to standard output, as it is
  void print_json(const nlohmann::json& value) const;  // one line; bytes that are not UTF-8 become U+FFFD
  void note(std::string_view message) const { cli::note(message); }

 private:
  [[nodiscard]] std::optional<int> parse_table(std::span<const Field> fields, std::string_view examples) const;

  const Command& command_;
  std::span<const std::string> args_;
};

}  // namespace quern::cli
