#include "server/config/describe.h"

#include <algorithm>

#include "server/config/server_config.h"

namespace quern::server {

namespace {

// A value as YAML takes it: with quotes where it would be something else without.
std::string yaml_text(const ConfigField& field) {
  const std::string text = value_text(field);
  if (is_list(field)) return "[" + text + "]";
  return std::holds_alternative<std::string*>(field.to) && text.empty() ? "\"\"" : text;
}

std::string escaped(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

}  // namespace

std::string options_markdown() {
  ServerConfig config;
  std::string text =
      "# Options of `quern serve`\n\n"
      "Written from the table in `src/server/config/server_config.cpp`; a test compares the two.\n\n"
      "An option is a key under `serve:` in `quern.yaml` (`--config quern.yaml`) and a flag; a flag wins over the "
      "file, "
      "the file over the default. Options under \"Models\" may also stand in an entry of `models:`, for that model "
      "alone. "
      "Durations are written 300, 5m, 1h30m, 250ms; sizes 1048576, 512MB, 2GiB. `deploy/quern.yaml` is a file to begin "
      "with, `quern serve --check` says everything that is wrong with one.\n";
  std::string_view group;
  for (const ConfigField& field : server_fields(config)) {
    if (field.group != group) {
      group = field.group;
      text += fmt::format("\n## {}\n\n| key | flag | default | wants | meaning |\n|---|---|---|---|---|\n", group);
    }
    const std::string value = value_text(field);
    text +=
        fmt::format("| `{}` | `{}` | {} | {} | {} |\n", field.key, flag_of(field),
                    value.empty() ? "" : "`" + value + "`", escaped(wanted(field)), escaped(std::string(field.help)));
  }
  return text;
}

std::string example_yaml() {
  ServerConfig config;
  std::string text =
      "# The options of quern serve, all with their defaults: take the # away before those that you change.\n"
      "#   quern serve --config quern.yaml --check    says everything that is wrong\n"
      "# docs/server-options.md has the bounds. Flags win over this file: --max-itl-ms 40 over max_itl_ms.\n\n"
      "# A GGUF file, or a name from quern list. The first also answers to the name default.\n"
      "models:\n"
      "#  - smollm2:135m\n"
      "#  - model: chat.gguf\n"
      "#    name: chat\n"
      "#    n_ctx: 8192    # any option under \"Models\" below, for this model alone\n"
      "\nserve:\n";
  std::string_view group;
  for (const ConfigField& field : server_fields(config)) {
    if (field.group != group) {
      text += fmt::format("{}  # {}\n", group.empty() ? "" : "\n", field.group);
      group = field.group;
    }
    text += fmt::format("\n  # {}.\n  #{}: {}\n", field.help, field.key, yaml_text(field));
  }
  return text;
}

}  // namespace quern::server
