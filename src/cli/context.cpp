#include "cli/context.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace quern::cli {

std::optional<int> Context::parse_table(std::span<const Field> fields, std::string_view examples) const {
  const auto end = std::find(args_.begin(), args_.end(), "--");
  const auto given = [&](std::string_view flag) { return std::find(args_.begin(), end, flag) != end; };
  if (given("--help") || given("-h")) {
    if (given("--json")) {
      print_json(nlohmann::json{{"command", command_.name},
                                {"summary", command_.summary},
                                {"options", fields_to_json(fields)},
                                {"examples", examples}});
    } else {
      print(fmt::format("{}\n\nUsage: quern {} [OPTIONS]{}\n{}\nExamples:\n{}", command_.summary, command_.name,
                        positional_usage(fields), describe_fields(fields), examples));
    }
    return kExitOk;
  }
  if (auto status = parse_fields(fields, args_); !status) return usage_error(status.error().message);
  return std::nullopt;
}

int Context::failed(const Error& error) const {
  note(error.message);
  return kExitFailed;
}

int Context::usage_error(std::string_view message) const {
  note(fmt::format("{}: {} (see quern {} --help)", command_.name, message, command_.name));
  return kExitUsage;
}

void Context::print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Context::print_json(const nlohmann::json& value) const {
  print(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void say(std::string_view text) {
  std::fflush(stdout);
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
}

void note(std::string_view message) {
  // Messages quote files and servers: their control characters must not reach the terminal.
  std::string text;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < ' ' && c != '\n' && c != '\t') || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  std::fflush(stdout);
  fmt::print(stderr, "quern: {}\n", text);
}

}  // namespace quern::cli
