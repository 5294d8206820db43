#include "tools/tools_file.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/nearest.h"
#include "tools/argument_reader.h"
#include "tools/builtins.h"
#include "tools/file_reader.h"
#include "tools/http.h"

namespace quern::toolbox {

namespace {

using Kind = YamlNode::Kind;

constexpr std::string_view kTopKeys[] = {"tools"};
constexpr std::string_view kCommonKeys[] = {"description", "confirm", "timeout", "output_limit"};
constexpr std::string_view kKindKeys[] = {"command", "http", "builtin"};
constexpr std::string_view kCommandKeys[] = {"arguments",   "stdin",   "directory",
                                             "environment", "inherit", "allow_options"};
constexpr std::string_view kHttpKeys[] = {"arguments"};
constexpr std::string_view kHttpParts[] = {"method", "url", "headers"};
constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
constexpr std::string_view kConfirm[] = {"always", "never"};
constexpr double kLeastTimeout = 0.1, kMostTimeout = 3600;
constexpr uint64_t kLeastOutput = 256, kMostOutput = uint64_t{1} << 20;

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.find_first_of(std::string_view("=\0", 2)) == std::string_view::npos;
}

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

// One entry of `tools:`.
class ToolReader {
 public:
  ToolReader(FileReader& reader, const YamlEntry& entry) : reader_(reader), key_(entry.key), node_(entry.value) {
    tool_.name = entry.key.text;
  }

  Tool read() {
    if (!reader_.is_map(node_, tool_.name)) return std::move(tool_);
    const std::string_view kind = kind_of_tool();
    if (kind.empty()) return std::move(tool_);
    check_keys(kind);
    if (const YamlNode* at = find_entry(node_, "description")) reader_.read_text(*at, "description", tool_.description);
    if (const YamlNode* at = find_entry(node_, "confirm")) {
      tool_.confirm = reader_.read_word(*at, "confirm", kConfirm) != 1;
    }
    if (const YamlNode* at = find_entry(node_, "timeout")) {
      reader_.read_duration(*at, "timeout", kLeastTimeout, kMostTimeout, tool_.timeout_s);
    }
    if (const YamlNode* at = find_entry(node_, "output_limit")) {
      reader_.read_bytes(*at, "output_limit", kLeastOutput, kMostOutput, tool_.output_limit);
    }
    if (kind == "builtin") {
      read_builtin();
    } else {
      read_arguments_and_rest(kind);
    }
    if (tool_.description.empty()) {
      reader_.problem(key_, fmt::format("{} has no description: the model knows it by that alone", tool_.name));
    }
    return std::move(tool_);
  }

 private:
  std::string_view kind_of_tool() {
    std::string_view found;
    for (const YamlEntry& entry : node_.entries) {
      const bool is = std::find(std::begin(kKindKeys), std::end(kKindKeys), entry.key.text) != std::end(kKindKeys);
      if (is && !found.empty()) {
        reader_.problem(entry.key,
                        fmt::format("{} has both {} and {}: it is one of them", tool_.name, found, entry.key.text));
        return {};
      }
      if (is) found = entry.key.text;
    }
    if (found.empty()) {
      (void)reader_.check_map(node_, tool_.name, all_keys());
      reader_.problem(key_, fmt::format("{} says not what it does: command, http or builtin is wanted", tool_.name));
    }
    return found;
  }

  static std::vector<std::string_view> all_keys() {
    std::vector<std::string_view> keys(std::begin(kKindKeys), std::end(kKindKeys));
    keys.insert(keys.end(), std::begin(kCommonKeys), std::end(kCommonKeys));
    keys.insert(keys.end(), std::begin(kCommandKeys), std::end(kCommandKeys));
    return keys;
  }

  // A key that other kinds have is told apart from one that nothing has.
  void check_keys(std::string_view kind) {
    std::vector<std::string_view> known = {kind};
    known.insert(known.end(), std::begin(kCommonKeys), std::end(kCommonKeys));
    if (kind == "command") known.insert(known.end(), std::begin(kCommandKeys), std::end(kCommandKeys));
    if (kind == "http") known.insert(known.end(), std::begin(kHttpKeys), std::end(kHttpKeys));
    const auto all = all_keys();
    YamlNode rest;
    rest.kind = Kind::kMap;
    for (const YamlEntry& entry : node_.entries) {
      const bool mine = std::find(known.begin(), known.end(), entry.key.text) != known.end();
      if (mine) continue;
      if (std::find(all.begin(), all.end(), entry.key.text) != all.end()) {
        reader_.problem(entry.key, fmt::format("{} has no meaning for the kind {}", entry.key.text, kind));
      } else {
        rest.entries.push_back(entry);
      }
    }
    (void)reader_.check_map(rest, tool_.name, known);
  }

  void read_builtin() {
    const YamlNode& at = *find_entry(node_, "builtin");
    if (reader_.read_word(at, "builtin", builtin_names()) == builtin_names().size()) return;
    const Builtin which = *find_builtin(at.text);
    tool_.what = which;
    tool_.parameters = builtin_parameters(which);
    if (tool_.description.empty()) tool_.description = builtin_description(which);
  }

  void read_arguments_and_rest(std::string_view kind) {
    const YamlNode* arguments = find_entry(node_, "arguments");
    static const YamlNode kNone;
    tool_.parameters = read_argument_map(reader_, arguments != nullptr ? *arguments : kNone, "arguments");
    unused_.clear();
    for (const auto& [name, schema] : tool_.parameters["properties"].items()) unused_.push_back(name);
    if (kind == "command") {
      read_command(*find_entry(node_, "command"));
    } else {
      read_http(*find_entry(node_, "http"));
    }
    for (const std::string& name : unused_) {
      reader_.problem(*arguments, fmt::format("the argument {} is used nowhere", name));
    }
  }

  // The schema of an argument that a placeholder or `stdin` names, or null after a problem.
  const Json* use(const YamlNode& at, const std::string& name) {
    const Json& properties = tool_.parameters["properties"];
    const auto found = properties.find(name);
    if (found == properties.end()) {
      std::vector<std::string> names;
      for (const auto& [key, schema] : properties.items()) names.push_back(key);
      const auto nearest = nearest_name(name, names);
      reader_.problem(at, fmt::format("there is no argument '{}'{}", name,
                                      nearest ? fmt::format(": did you mean {}?", *nearest) : ""));
      return nullptr;
    }
    std::erase(unused_, name);
    return &*found;
  }

  std::optional<Pattern> pattern(const YamlNode& node) {
    auto parsed = parse_pattern(node.text);
    if (!parsed) {
      reader_.problem(node, parsed.error().message);
      return std::nullopt;
    }
    return std::move(*parsed);
  }

  void read_command(const YamlNode& node) {
    CommandTool command;
    if (node.kind != Kind::kList || node.items.empty()) {
      reader_.problem(node, "command wants a list, the program and its arguments: [ls, -l, \"{folder}\"]");
      unused_.clear();
    } else {
      for (const YamlNode& item : node.items) read_element(item, command);
    }
    if (const YamlNode* at = find_entry(node_, "stdin")) {
      reader_.read_text(*at, "stdin", command.input_argument);
      if (at->kind == Kind::kScalar) (void)use(*at, at->text);
    }
    if (const YamlNode* at = find_entry(node_, "directory")) reader_.read_text(*at, "directory", command.directory);
    if (const YamlNode* at = find_entry(node_, "allow_options")) {
      reader_.read_flag(*at, "allow_options", command.allow_options);
    }
    if (const YamlNode* at = find_entry(node_, "environment")) read_environment(*at, command);
    if (const YamlNode* at = find_entry(node_, "inherit")) {
      reader_.read_texts(*at, "inherit", command.inherit);
      if (!std::all_of(command.inherit.begin(), command.inherit.end(), is_variable_name)) {
        reader_.problem(*at, "inherit wants names of environment variables");
      }
    }
    tool_.what = std::move(command);
  }

  void read_element(const YamlNode& item, CommandTool& command) {
    if (item.kind != Kind::kScalar) {
      reader_.problem(item, fmt::format("command wants a list of texts, not of {}", yaml_kind_name(item.kind)));
      return;
    }
    auto parsed = pattern(item);
    if (!parsed) return;
    size_t lists = 0;
    for (const PatternPiece& piece : parsed->pieces) {
      const Json* schema = piece.is_argument ? use(item, piece.text) : nullptr;
      if (schema != nullptr && schema->value("type", "") == "array") ++lists;
    }
    if (lists > 1) reader_.problem(item, "two lists in one argument of the command: which goes with which?");
    if (command.argv.empty() && (parsed->has_arguments() || item.text.empty())) {
      reader_.problem(item, "the program itself must not come from the model");
    }
    command.argv.push_back(std::move(*parsed));
  }

  void read_environment(const YamlNode& map, CommandTool& command) {
    if (!reader_.is_map(map, "environment")) return;
    for (const YamlEntry& entry : map.entries) {
      std::string value;
      reader_.read_text(entry.value, entry.key.text, value);
      if (!is_variable_name(entry.key.text)) reader_.problem(entry.key, "this is no name of an environment variable");
      command.environment.emplace_back(entry.key.text, std::move(value));
    }
  }

  void read_http(const YamlNode& node) {
    HttpTool http;
    const YamlNode* url = &node;
    if (node.kind != Kind::kScalar) {
      if (!reader_.check_map(node, "http", kHttpParts)) return unused_.clear();
      url = find_entry(node, "url");
      if (const YamlNode* at = find_entry(node, "method")) {
        const size_t i = reader_.read_word(*at, "method", kMethods);
        if (i < std::size(kMethods)) http.method = kMethods[i];
      }
      if (const YamlNode* at = find_entry(node, "headers")) read_headers(*at, http);
    }
    if (url == nullptr || url->kind != Kind::kScalar) {
      reader_.problem(node, "http wants a url");
      return unused_.clear();
    }
    read_url(*url, http);
    if (method_has_body(http.method)) unused_.clear();  // in the body
    tool_.what = std::move(http);
  }

  void read_url(const YamlNode& node, HttpTool& http) {
    auto parsed = pattern(node);
    if (!parsed) return;
    for (const PatternPiece& piece : parsed->pieces) {
      const Json* schema = piece.is_argument ? use(node, piece.text) : nullptr;
      const std::string type = schema != nullptr ? schema->value("type", "") : "";
      if (type == "array" || type == "object") {
        reader_.problem(node, fmt::format("{} is of the type {}, which no address can hold", piece.text, type));
      }
    }
    const std::string_view text = node.text;
    const size_t scheme = text.starts_with("http://") ? 7 : text.starts_with("https://") ? 8 : 0;
    const size_t host_end = std::min(text.find_first_of("/?#", scheme), text.size());
    const std::string_view host = text.substr(scheme, host_end - scheme);
    if (scheme == 0) {
      reader_.problem(node, "a url begins with http:// or https://");
    } else if (host.empty() || host.find_first_of("{}") != std::string_view::npos ||
               (host_end == text.size() && parsed->has_arguments())) {
      reader_.problem(node, "the server must be named: a placeholder stands after the first / behind it");
    } else if (host.find('@') != std::string_view::npos) {
      reader_.problem(node, "a url with a password in it: use headers");
    }
    if (text.find_first_of(" \t\n\r") != std::string_view::npos)
      reader_.problem(node, "a url has no spaces: write %20");
    http.url = std::move(*parsed);
  }

  void read_headers(const YamlNode& map, HttpTool& http) {
    if (!reader_.is_map(map, "headers")) return;
    for (const YamlEntry& entry : map.entries) {
      std::string value;
      reader_.read_text(entry.value, entry.key.text, value);
      if (!is_header_name(entry.key.text)) reader_.problem(entry.key, "this is no name of a header");
      if (value.find_first_of("\r\n") != std::string::npos) {
        reader_.problem(entry.value, "the value of a header is one line");
      }
      http.headers.emplace_back(entry.key.text, std::move(value));
    }
  }

  FileReader& reader_;
  const YamlNode& key_;
  const YamlNode& node_;
  Tool tool_;
  std::vector<std::string> unused_;
};

}  // namespace

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

ToolsReading read_tools(std::string_view file, std::string_view text) {
  ToolsReading reading;
  FileReader reader(file, reading.problems);
  const auto root = parse_yaml(text);
  if (!root) {
    reading.problems.push_back(fmt::format("{}:{}", file, root.error().message));
    return reading;
  }
  if (!reader.check_map(*root, "the file", kTopKeys)) return reading;
  const YamlNode* tools = find_entry(*root, "tools");
  if (tools == nullptr || !reader.is_map(*tools, "tools")) {
    if (tools == nullptr) reader.problem(*root, "there is no key 'tools'");
    return reading;
  }
  if (tools->entries.size() > kMaxTools) {
    reader.problem(*tools, fmt::format("{} tools; at most {}", tools->entries.size(), kMaxTools));
    return reading;
  }
  for (const YamlEntry& entry : tools->entries) {
    const size_t before = reader.problems();
    if (!is_tool_name(entry.key.text)) {
      reader.problem(entry.key, "the name of a tool has letters, digits, _ and -, at most 64");
    }
    Tool tool = ToolReader(reader, entry).read();
    if (reader.problems() == before) reading.tools.push_back(std::move(tool));
  }
  if (tools->entries.empty()) reader.problem(*tools, "there are no tools");
  return reading;
}

}  // namespace quern::toolbox
