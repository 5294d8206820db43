#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>

#include "text/utf8.h"

namespace quern {

namespace {

// How a handler stops yaml-cpp; caught in parse_yaml().
struct Refusal : std::exception {
  explicit Refusal(std::string text) : message(std::move(text)) {}
  std::string message;
};

std::string at(int line, int column, std::string_view what) {
  return fmt::format("{}:{}: {}", line, column, what);
}

[[noreturn]] void refuse(const YAML::Mark& mark, std::string_view what) {
  throw Refusal(at(mark.line + 1, mark.column + 1, what));
}

// Whether the quoted text that begins at `at` ends. yaml-cpp 0.7 takes the end of the file for a closing quote: one
// that was forgotten would swallow the rest.
bool is_closed(std::string_view text, size_t at) {
  const char quote = text[at];
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != quote) return true;
      ++i;  // '' is a quote within quotes
    }
  }
  return false;
}

// Builds the tree from yaml-cpp's events, which come in the order of the text.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document begins here: a configuration is one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    close(node(mark, "", anchor, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases (*name) are not allowed here");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode scalar = node(mark, tag, anchor, YamlNode::Kind::kScalar);
    scalar.quoted = tag == "!";
    const auto begin = static_cast<size_t>(std::max(mark.pos, 0));
    const bool quote = begin < text_.size() && (text_[begin] == '"' || text_[begin] == '\'');
    if (scalar.quoted && quote && !is_closed(text_, begin)) refuse(mark, "this quote is not closed");
    scalar.text = value;
    close(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, node(mark, tag, anchor, YamlNode::Kind::kList));
  }
  void OnSequenceEnd() override { close_top(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, node(mark, tag, anchor, YamlNode::Kind::kMap));
  }
  void OnMapEnd() override { close_top(); }

  YamlNode root;

 private:
  struct Open {
    YamlNode node;
    bool has_key = false;  // the last entry of a map waits for its value
  };

  YamlNode node(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (anchor != 0) refuse(mark, "anchors (&name) are not allowed here");
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not allowed here");
    if (++nodes_ > kMaxYamlNodes) refuse(mark, fmt::format("more than {} values", kMaxYamlNodes));
    YamlNode made;
    made.kind = kind;
    made.line = mark.line + 1;
    made.column = mark.column + 1;
    return made;
  }

  void open(const YAML::Mark& mark, YamlNode made) {
    if (open_.size() == kMaxYamlDepth) refuse(mark, fmt::format("nested deeper than {} levels", kMaxYamlDepth));
    open_.push_back({std::move(made)});
  }

  void close_top() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    close(std::move(done));
  }

  // Puts a whole value where it belongs.
  void close(YamlNode done) {
    if (open_.empty()) {
      root = std::move(done);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(done));
    } else if (parent.has_key) {
      YamlEntry& entry = parent.node.entries.back();
      if (done.kind == YamlNode::Kind::kNull) {  // yaml-cpp has it where the next thing begins
        done.line = entry.key.line;
        done.column = entry.key.column;
      }
      entry.value = std::move(done);
      parent.has_key = false;
    } else {
      add_key(parent, std::move(done));
    }
  }

  static void add_key(Open& parent, YamlNode key) {
    if (key.kind != YamlNode::Kind::kScalar) {
      throw Refusal(at(key.line, key.column, fmt::format("a key must be a name, not {}", yaml_kind_name(key.kind))));
    }
    auto& entries = parent.node.entries;
    const auto first = std::find_if(entries.begin(), entries.end(), [&](auto& e) { return e.key.text == key.text; });
    if (first != entries.end()) {
      throw Refusal(
          at(key.line, key.column, fmt::format("'{}' is given twice; first in line {}", key.text, first->key.line)));
    }
    // Looking through the entries for each key is quadratic; no configuration has so many.
    if (entries.size() == kMostKeys) {
      throw Refusal(at(key.line, key.column, fmt::format("more than {} keys in a map", kMostKeys)));
    }
    entries.push_back({std::move(key), {}});
    parent.has_key = true;
  }

  static constexpr size_t kMostKeys = 500;

  const std::string_view text_;
  std::vector<Open> open_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

// Before yaml-cpp sees them: bytes that are no text.
Status check_text(std::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return fail_f(ErrorCode::kCorrupt, "1:1: {} bytes; a configuration has at most {}", text.size(), kMaxYamlBytes);
  }
  int line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = utf8_decode(text, i);
    const bool control = c.cp < 0x20 && c.cp != '\n' && c.cp != '\r' && c.cp != '\t';
    if (!c.valid || control || c.cp == 0x7F) {
      return fail_f(ErrorCode::kCorrupt, "{}:{}: {}", line, i - line_start + 1,
                    c.valid ? "a control character" : "not UTF-8 text");
    }
    i += c.len;
    if (c.cp == '\n') {
      ++line;
      line_start = i;
    }
  }
  return {};
}

}  // namespace

std::string_view yaml_kind_name(YamlNode::Kind kind) {
  constexpr std::string_view kNames[] = {"nothing", "a value", "a list", "a map"};
  return kNames[static_cast<size_t>(kind)];
}

Result<YamlNode> parse_yaml(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  QUERN_CHECK_OK(check_text(text));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(text);
    while (parser.HandleNextDocument(builder)) {
    }
    return std::move(builder.root);
  } catch (const Refusal& refusal) {
    return fail(ErrorCode::kCorrupt, refusal.message);
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kCorrupt, at(error.mark.line + 1, error.mark.column + 1, error.msg));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kCorrupt, at(1, 1, error.what()));
  }
}

}  // namespace quern
