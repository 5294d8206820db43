// A YAML document as a bounded tree, for configuration files. Only this room's yaml_tree.cpp knows yaml-cpp.
//
// A narrow YAML: one document, scalar keys, no anchors, aliases or tags, no key twice in a map, valid UTF-8, within the
// limits below. What goes beyond is refused with its place, so nothing in a small file can grow large. Pure; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

inline constexpr size_t kMaxYamlBytes = size_t{256} << 10;
inline constexpr size_t kMaxYamlNodes = 20000;
inline constexpr size_t kMaxYamlDepth = 8;

struct YamlEntry;

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  bool quoted = false;  // of a scalar
  std::string text;     // of a scalar
  std::vector<YamlNode> items;
  std::vector<YamlEntry> entries;  // as they stand
  int line = 1, column = 1;
};

struct YamlEntry {
  YamlNode key;
  YamlNode value;
};

// "a map", "a list", ...
std::string_view yaml_kind_name(YamlNode::Kind kind);

// An empty document is kNull. kCorrupt: the message begins with "LINE:COLUMN: ".
Result<YamlNode> parse_yaml(std::string_view text);

}  // namespace quern
