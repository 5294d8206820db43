// From defaults, quern.yaml and flags to a ServerConfig: a later one of these wins.
//
//   models:
//     - gemma3:270m
//     - model: chat.gguf
//       name: chat
//       n_ctx: 8192          # any option of model_fields(), for this model alone
//   serve:
//     port: 11434
//
// A flag also wins over what the file says of one model, and models named on the command line replace those of the
// file. Paths are relative to the working folder. Nothing here throws, prints or keeps state; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "server/config/server_config.h"

namespace quern::server {

struct ConfigFlag {
  std::string key;                 // of a row in server_fields()
  std::vector<std::string> texts;  // one, or those of a list
};

struct ConfigSources {
  std::string file;                 // empty: none
  std::vector<std::string> models;  // named on the command line
  std::vector<ConfigFlag> flags;
};

struct ConfigProblem {
  bool warning = false;  // the server can run with it
  std::string message;   // "quern.yaml:12:3: ...", "--port wants ...", or of several options together
};

struct EffectiveValue {
  std::string key;  // "port", "models[0].n_ctx"
  std::string value;
  std::string origin;  // "default", "quern.yaml:12", "--port"
};

struct ConfigReading {
  ServerConfig config;                  // defaults stand where something was wrong
  std::vector<ConfigProblem> problems;  // all there are
  std::vector<EffectiveValue> values;   // all options in the order of the tables, then the models
};

// Reads without touching any file but the configuration.
ConfigReading read_config(const ConfigSources& sources);
// The same, from the text of a file called `name`; an empty name is no file.
ConfigReading read_config_text(std::string_view name, std::string_view text, const ConfigSources& sources);

// What the options mean together, and whether the files that they name can be read: for `quern serve --check`.
std::vector<ConfigProblem> check_config(const ServerConfig& config);
// read_config() and, when nothing was wrong in it, check_config().
std::vector<ConfigProblem> check(const ConfigSources& sources);

// kInvalidArgument carries every problem that is not a warning, one a line. Warnings go to `warnings`, which may be
// null.
Result<ServerConfig> load_config(const ConfigSources& sources, std::vector<std::string>* warnings);

}  // namespace quern::server
