// quern serve: models behind HTTP until a signal ends it. Options are the tables of server/config.
#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "server/app.h"
#include "server/auth/api_keys.h"
#include "server/config/load.h"
#include "server/route.h"

namespace quern::cli {

namespace {

constexpr const char* kExamples =
    "  quern serve smollm2:135m\n"
    "  quern serve chat.gguf embed.gguf --port 11434 --kv-dir kept\n"
    "  quern serve --config quern.yaml --check\n"
    "  head -c 24 /dev/urandom | base64 | quern serve --hash-key alice >> keys.txt\n";

struct ServeOptions {
  std::vector<std::string> models;
  std::string config_file;
  std::string hash_key;
  bool check = false, openapi = false;
  server::ServerConfig defaults;
  // The rows of the tables and what was given for each; deques, since fields point into them.
  std::deque<server::ConfigField> rows;
  std::deque<std::string> flags, helps;
  std::deque<std::optional<std::string>> texts;
  std::deque<std::vector<std::string>> lists;

  std::vector<Field> fields() {
    std::vector<Field> all = {
        {"MODEL", &models, "GGUF files, or names from quern list; the first also answers to 'default'"},
        {"--config", &config_file, "Read quern.yaml or another file; flags win over it"},
        {"--check", &check, "Say what is wrong with the options, and end"},
        {"--hash-key", &hash_key,
         "Read a key from standard input, print its line for the file of keys under this name"},
        {"--openapi", &openapi, "Print the interface as OpenAPI 3.1, and end"}};
    for (server::ConfigField& row : server::server_fields(defaults)) rows.push_back(std::move(row));
    for (const server::ConfigField& row : rows) {
      flags.push_back(server::flag_of(row));
      const std::string usual = server::value_text(row);
      helps.push_back(fmt::format("{} ({}{})", row.help, server::wanted(row),
                                  usual.empty() ? "" : fmt::format("; default {}", usual)));
      texts.emplace_back();
      lists.emplace_back();
      if (server::is_list(row)) {
        all.push_back({flags.back(), &lists.back(), helps.back()});
      } else if (std::holds_alternative<bool*>(row.to)) {
        all.push_back({flags.back(), &texts.back(), helps.back(), {.implied = "true"}});
      } else {
        all.push_back({flags.back(), &texts.back(), helps.back()});
      }
    }
    return all;
  }

  [[nodiscard]] server::ConfigSources sources() const {
    server::ConfigSources s{.file = config_file, .models = models, .flags = {}};
    for (size_t i = 0; i < rows.size(); ++i) {
      if (texts[i]) s.flags.push_back({std::string(rows[i].key), {*texts[i]}});
      if (!lists[i].empty()) s.flags.push_back({std::string(rows[i].key), lists[i]});
    }
    return s;
  }
};

// The signals that end or change a server, taken one at a time by the thread that asks.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, s);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);  // threads that start from here on inherit it
    std::signal(SIGPIPE, SIG_IGN);               // a closed log is no reason to end
    std::signal(SIGXFSZ, SIG_IGN);               // nor is a limit on files: the write fails, as on a full disk
  }
  // 0 when none came within the time.
  [[nodiscard]] int wait(double seconds) const {
    const timespec limit{static_cast<time_t>(seconds), static_cast<long>((seconds - static_cast<long>(seconds)) * 1e9)};
    const int s = sigtimedwait(&set_, nullptr, &limit);
    return s > 0 ? s : 0;
  }

 private:
  sigset_t set_ = {};
};

int print_key_line(const Context& context, const std::string& name) {
  std::string key;
  std::getline(std::cin, key);
  const auto line = server::key_file_line(name, key);
  if (!line) return context.failed(line.error());
  context.print(*line + "\n");
  return kExitOk;
}

int print_check(const Context& context, const server::ConfigSources& sources) {
  bool wrong = false;
  for (const server::ConfigProblem& problem : server::check(sources)) {
    context.note(fmt::format("{}{}", problem.warning ? "warning: " : "", problem.message));
    wrong = wrong || !problem.warning;
  }
  if (!wrong) context.print("the configuration is valid\n");
  return wrong ? kExitFailed : kExitOk;
}

// Until everything has been answered, the time is up, or a second signal comes.
bool drain(const Context& context, server::App& app, const Signals& signals) {
  const double limit = app.config.drain_timeout.seconds;
  context.note(fmt::format("draining, at most {:g} s; a second signal ends at once", limit));
  app.drain();
  for (double waited = 0; waited < limit; waited += 0.1) {
    if (app.wait_drained(0.1)) return true;
    const int s = signals.wait(0);
    if (s == SIGINT || s == SIGTERM) break;
  }
  app.end_streams();
  return app.wait_drained(1);
}

int serve(const Context& context, server::ServerConfig config) {
  const Signals signals;
  auto app = server::App::start(std::move(config));
  if (!app) return context.failed(app.error());
  server::App& server = **app;
  const char* scheme = server.config.tls_certificate.empty() ? "http" : "https";
  context.note(fmt::format("listening on {}://{}:{}", scheme, server.config.host, server.port()));
  std::optional<Status> loaded;
  std::atomic<bool> load_done{false};
  std::thread loader([&] {
    loaded = server.load_models();
    load_done = true;
  });
  bool told = false;
  int code = kExitOk;
  for (;;) {
    const int s = signals.wait(told ? 3600 : 0.1);
    if (!told && load_done) {
      told = true;
      if (!*loaded) {
        code = context.failed(loaded->error());
        break;
      }
      context.note("ready");
    }
    if (s == SIGHUP) {
      const auto status = server.reload();
      context.note(status ? "keys and certificates were read again" : status.error().message);
    }
    if (s != SIGINT && s != SIGTERM) continue;
    const bool clean = drain(context, server, signals);
    context.note(clean ? "stopped" : "stopped; some connections were cut");
    break;
  }
  server.stop_loading();
  loader.join();
  return code;
}

}  // namespace

int serve_command(Context& context) {
  ServeOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  if (!options.hash_key.empty()) return print_key_line(context, options.hash_key);
  if (options.openapi) {
    context.print(server::openapi_document().dump(2) + "\n");
    return kExitOk;
  }
  const server::ConfigSources sources = options.sources();
  if (options.check) return print_check(context, sources);
  std::vector<std::string> warnings;
  auto config = server::load_config(sources, &warnings);
  if (!config) return context.usage_error(config.error().message);
  for (const std::string& warning : warnings) context.note("warning: " + warning);
  if (config->models.empty()) return context.usage_error("name at least one model, or models: in the configuration");
  return serve(context, std::move(*config));
}

}  // namespace quern::cli
