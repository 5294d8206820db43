// FileReader: what the readers of tools.yaml share: problems with their places, and values of the simple kinds. Every
// read_* takes nothing and notes a problem where the value is of another kind or out of bounds. One thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.h"

namespace quern::toolbox {

class FileReader {
 public:
  FileReader(std::string_view file, std::vector<std::string>& problems) : file_(file), problems_(problems) {}

  void problem(const YamlNode& at, std::string_view message);
  [[nodiscard]] size_t problems() const { return problems_.size(); }

  // Notes the keys that are not among `known`, each with the nearest name. False: it is no map; an empty one is.
  bool check_map(const YamlNode& node, std::string_view what, std::span<const std::string_view> known);
  bool is_map(const YamlNode& node, std::string_view what);

  void read_text(const YamlNode& node, std::string_view key, std::string& to);
  void read_flag(const YamlNode& node, std::string_view key, bool& to);
  void read_texts(const YamlNode& node, std::string_view key, std::vector<std::string>& to);
  void read_number(const YamlNode& node, std::string_view key, double& to);
  void read_duration(const YamlNode& node, std::string_view key, double least, double most, double& seconds);
  void read_bytes(const YamlNode& node, std::string_view key, uint64_t least, uint64_t most, size_t& to);
  // One of `words`; its index, or words.size() after a problem.
  size_t read_word(const YamlNode& node, std::string_view key, std::span<const std::string_view> words);

 private:
  std::string_view file_;
  std::vector<std::string>& problems_;
};

// The value of a key, or null.
const YamlNode* find_entry(const YamlNode& map, std::string_view key);

}  // namespace quern::toolbox
