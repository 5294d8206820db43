// quern pull: a model from the catalogue, the hub or an address into the cache folder; its path on standard output.
#include "hub/pull.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

namespace quern::cli {

namespace {

struct PullCommandOptions {
  std::string source;
  bool verify = false;
  bool json = false;
  int retries = hub::HubOptions().retries;

  std::vector<Field> fields() {
    return {{"SOURCE",
             &source,
             "A name from quern list, hf:OWNER/REPO[:FILE], or the address of a .gguf file",
             {.required = true}},
            {"--verify", &verify, "Read a model that is here already again and compare its SHA-256"},
            {"--retries", &retries, "Attempts in a row that bring nothing before giving up", {.min = 1, .max = 100}},
            {"--json", &json, "Print one JSON object"}};
  }
};

constexpr std::string_view kExamples =
    "  quern pull default\n"
    "  quern pull hf:OWNER/REPO                 (its usual file; where there is none, a list to choose from)\n"
    "  quern pull hf:OWNER/REPO:FILE            (FILE may be a part of the name, such as the quantization)\n"
    "  quern pull https://host/model.gguf\n"
    "  quern pull --verify default\n"
    "\nEnvironment: QUERN_CACHE (folder of models), HF_TOKEN (for gated repositories), HF_ENDPOINT (another hub).\n";

}  // namespace

int pull_command(Context& context) {
  PullCommandOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  auto settings = hub::hub_options_from_environment();
  if (!settings) return context.failed(settings.error());
  settings->retries = options.retries;

  InterruptScope interrupt;
  ProgressBar bar;
  const hub::PullMonitor monitor{
      .progress = [&](std::string_view what, uint64_t done, uint64_t total) { bar.update(what, done, total); },
      .note =
          [&](std::string_view message) {
            bar.clear();
            context.note(message);
          },
      .cancelled = [] { return InterruptScope::interrupted(); }};
  const auto pulled = hub::pull(options.source, options.verify, *settings, monitor);
  bar.clear();
  if (!pulled) return context.failed(pulled.error());
  if (options.json) {
    context.print_json({{"name", pulled->name},
                        {"path", pulled->path},
                        {"bytes", pulled->bytes},
                        {"sha256", pulled->sha256},
                        {"was_present", pulled->was_present},
                        {"checked", pulled->checked}});
  } else {
    context.print(pulled->path + "\n");
  }
  return kExitOk;
}

}  // namespace quern::cli
