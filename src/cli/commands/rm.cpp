// quern rm: removes a model from the cache folder, and nothing anywhere else.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "hub/cache.h"
#include "os/terminal.h"

namespace quern::cli {

namespace {

struct RmOptions {
  std::string name;
  bool yes = false;
  bool json = false;

  std::vector<Field> fields() {
    return {{"NAME", &name, "A name from quern list", {.required = true}},
            {"-y,--yes", &yes, "Do not ask"},
            {"--json", &json, "Print one JSON object"}};
  }
};

bool confirmed(const hub::CachedModel& model) {
  fmt::print(stderr, "Remove {} ({} {}, {:.1f} MB)? [y/N] ", model.path, model.parts.size(),
             model.parts.size() == 1 ? "file" : "files", static_cast<double>(model.bytes) / 1e6);
  std::fflush(stderr);
  char answer[16] = "";
  return std::fgets(answer, sizeof answer, stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

}  // namespace

int rm_command(Context& context) {
  RmOptions options;
  if (auto code = context.parse(options, "  quern rm default\n  quern rm --yes hf:OWNER/REPO\n")) return *code;
  const auto settings = hub::hub_options_from_environment();
  if (!settings) return context.failed(settings.error());
  const auto model = hub::find_cached(options.name, *settings);
  if (!model) return context.failed(model.error());
  if (!options.yes) {
    if (!is_terminal(Stream::kIn)) return context.usage_error("standard input is no terminal to ask at: say --yes");
    if (!confirmed(*model)) return context.failed({ErrorCode::kCancelled, "nothing was removed"});
  }
  if (auto status = hub::remove_cached(*model, *settings); !status) return context.failed(status.error());
  if (options.json) {
    context.print_json({{"name", model->name}, {"removed", model->parts}, {"bytes", model->bytes}});
  } else {
    for (const std::string& part : model->parts) context.print(part + "\n");
  }
  return kExitOk;
}

}  // namespace quern::cli
