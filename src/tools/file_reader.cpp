#include "tools/file_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/nearest.h"
#include "config/units.h"

namespace quern::toolbox {

namespace {

using Kind = YamlNode::Kind;

}  // namespace

void FileReader::problem(const YamlNode& at, std::string_view message) {
  problems_.push_back(fmt::format("{}:{}:{}: {}", file_, at.line, at.column, message));
}

bool FileReader::is_map(const YamlNode& node, std::string_view what) {
  if (node.kind == Kind::kMap) return true;
  problem(node, fmt::format("{} wants KEY: VALUE, not {}", what, yaml_kind_name(node.kind)));
  return false;
}

bool FileReader::check_map(const YamlNode& node, std::string_view what, std::span<const std::string_view> known) {
  if (!is_map(node, what)) return false;
  for (const YamlEntry& entry : node.entries) {
    if (std::find(known.begin(), known.end(), entry.key.text) != known.end()) continue;
    const auto nearest = nearest_name(entry.key.text, known);
    problem(entry.key, fmt::format("{} has no key '{}'{}", what, shown_value(entry.key.text),
                                   nearest ? fmt::format(": did you mean {}?", *nearest)
                                           : fmt::format("; those that it has are {}", fmt::join(known, ", "))));
  }
  return true;
}

void FileReader::read_text(const YamlNode& node, std::string_view key, std::string& to) {
  if (node.kind != Kind::kScalar) {
    problem(node, fmt::format("{} wants a text, not {}", key, yaml_kind_name(node.kind)));
  } else {
    to = node.text;
  }
}

void FileReader::read_flag(const YamlNode& node, std::string_view key, bool& to) {
  const bool is = node.kind == Kind::kScalar && !node.quoted && (node.text == "true" || node.text == "false");
  if (!is) {
    problem(node, fmt::format("{} wants true or false", key));
  } else {
    to = node.text == "true";
  }
}

void FileReader::read_texts(const YamlNode& node, std::string_view key, std::vector<std::string>& to) {
  if (node.kind != Kind::kList) {
    problem(node, fmt::format("{} wants a list of texts, not {}", key, yaml_kind_name(node.kind)));
    return;
  }
  for (const YamlNode& item : node.items) {
    if (item.kind != Kind::kScalar) {
      problem(item, fmt::format("{} wants a list of texts, not of {}", key, yaml_kind_name(item.kind)));
    } else {
      to.push_back(item.text);
    }
  }
}

void FileReader::read_number(const YamlNode& node, std::string_view key, double& to) {
  double value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (node.kind != Kind::kScalar || node.quoted || error != std::errc{} || stop != end || !std::isfinite(value)) {
    problem(node, fmt::format("{} wants a number", key));
  } else {
    to = value;
  }
}

void FileReader::read_duration(const YamlNode& node, std::string_view key, double least, double most, double& seconds) {
  const auto value = node.kind == Kind::kScalar ? parse_duration(node.text) : Duration{-1};
  if (!value || !(value->seconds >= least && value->seconds <= most)) {
    problem(node, fmt::format("{} wants a duration (10, 500ms, 2m) from {} to {}", key, duration_text({least}),
                              duration_text({most})));
  } else {
    seconds = value->seconds;
  }
}

void FileReader::read_bytes(const YamlNode& node, std::string_view key, uint64_t least, uint64_t most, size_t& to) {
  const auto value = node.kind == Kind::kScalar ? parse_bytes(node.text) : uint64_t{0};
  if (!value || *value < least || *value > most) {
    problem(node, fmt::format("{} wants a size (16KiB, 4096) from {} to {}", key, bytes_text(least), bytes_text(most)));
  } else {
    to = static_cast<size_t>(*value);
  }
}

size_t FileReader::read_word(const YamlNode& node, std::string_view key, std::span<const std::string_view> words) {
  const auto at = std::find(words.begin(), words.end(), node.text);
  const bool is = node.kind == Kind::kScalar && at != words.end();
  if (!is) {
    const auto nearest = nearest_name(node.text, words);
    problem(node, fmt::format("{} wants one of {}{}", key, fmt::join(words, ", "),
                              nearest ? fmt::format(": did you mean {}?", *nearest) : ""));
  }
  return is ? static_cast<size_t>(at - words.begin()) : words.size();
}

const YamlNode* find_entry(const YamlNode& map, std::string_view key) {
  const auto at =
      std::find_if(map.entries.begin(), map.entries.end(), [&](const YamlEntry& e) { return e.key.text == key; });
  return at == map.entries.end() ? nullptr : &at->value;
}

}  // namespace quern::toolbox
