#include "cli/serve_flags.h"

#include <fmt/format.h>

namespace quern::cli {

ServeFlags::ServeFlags() {
  server::ServerConfig defaults;
  for (const server::ConfigField& field : server::server_fields(defaults)) {
    Flag& flag = flags_.emplace_back();
    flag.key = field.key;
    flag.flag = server::flag_of(field);
    flag.is_bool = std::holds_alternative<bool*>(field.to);
    flag.is_list = server::is_list(field);
    const std::string value = server::value_text(field);
    flag.help = fmt::format("{} ({}{})", field.help, server::wanted(field), value.empty() ? "" : "; default " + value);
  }
}

void ServeFlags::add_to(std::vector<Field>& to) {
  for (Flag& flag : flags_) {
    if (flag.is_list) {
      to.push_back({flag.flag, &flag.texts, flag.help});
    } else {
      to.push_back({flag.flag, &flag.text, flag.help, {.implied = flag.is_bool ? "true" : ""}});
    }
  }
}

std::vector<server::ConfigFlag> ServeFlags::given() const {
  std::vector<server::ConfigFlag> given;
  for (const Flag& flag : flags_) {
    if (flag.is_list && !flag.texts.empty()) given.push_back({flag.key, flag.texts});
    if (flag.text) given.push_back({flag.key, {*flag.text}});
  }
  return given;
}

}  // namespace quern::cli
