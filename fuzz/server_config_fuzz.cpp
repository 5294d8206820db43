// quern.yaml and the file of API keys: any bytes give a configuration within bounds or problems with their places.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/yaml_tree.h"
#include "server/auth/api_keys.h"
#include "server/config/load.h"

namespace {

using quern::YamlNode;

size_t check_tree(const YamlNode& node, size_t depth) {
  if (depth > quern::kMaxYamlDepth || node.line < 1 || node.column < 1) std::abort();
  size_t nodes = 1;
  for (const YamlNode& item : node.items) nodes += check_tree(item, depth + 1);
  for (const auto& entry : node.entries) nodes += 1 + check_tree(entry.value, depth + 1);
  return nodes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quern::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto tree = quern::parse_yaml(text)) {
    if (check_tree(*tree, 0) > quern::kMaxYamlNodes) std::abort();
  }
  ConfigReading reading = read_config_text("f", text, {});
  // What was taken is a value that the same table takes again.
  for (const ConfigField& field : server_fields(reading.config)) {
    if (is_list(field)) continue;
    const std::string before = value_text(field);
    if (!assign(field, std::span(&before, 1)) || value_text(field) != before) std::abort();
  }
  for (const ConfigProblem& problem : reading.problems) {
    if (problem.message.empty()) std::abort();
  }
  (void)check_key_text(text);
  return 0;
}
