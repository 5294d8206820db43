// The options of the server (server/config/server_config.h) as flags of a command: max_itl_ms is --max-itl-ms. Their
// values are read by the server's own table, so that a flag and a line of quern.yaml mean the same.
//
// Owns what the fields point to; not movable. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "server/config/load.h"

namespace quern::cli {

class ServeFlags {
 public:
  ServeFlags();
  ServeFlags(const ServeFlags&) = delete;
  ServeFlags& operator=(const ServeFlags&) = delete;

  void add_to(std::vector<Field>& to);
  // Those that were on the command line, for ConfigSources::flags.
  [[nodiscard]] std::vector<server::ConfigFlag> given() const;

 private:
  struct Flag {
    std::string key, flag, help;
    bool is_bool = false, is_list = false;
    std::optional<std::string> text;
    std::vector<std::string> texts;
  };
  std::vector<Flag> flags_;
};

}  // namespace quern::cli
