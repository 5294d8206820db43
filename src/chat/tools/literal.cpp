#include "chat/tools/literal.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "chat/tools/json_scanner.h"

namespace quern::tools {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMaxDepth = 100;
constexpr std::string_view kLongQuote = "<|\"|>";

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == '+' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (c >> 6)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (c >> 12)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (c >> 18)));
    out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool value(Json& out, int depth = 0) {
    skip_space();
    if (depth > kMaxDepth || at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '{':
        return dict(out, depth);
      case '[':
        return list(out, ']', depth);
      case '(':
        return list(out, ')', depth);
      default:
        break;
    }
    if (std::string text; at_string()) {
      if (!string(text)) return false;
      out = std::move(text);
      return true;
    }
    return word(out);
  }

  bool keywords(Json& out, std::span<const std::string> positions) {
    Json::object_t items;
    for (size_t position = 0; !at_end();) {
      if (!items.empty() && !take(',')) return false;
      if (at_end()) break;
      std::string name = keyword_ahead();
      if (name.empty()) {
        if (position == positions.size()) return false;
        name = positions[position++];
      }
      Json item;
      if (!value(item)) return false;
      items.push_back({std::move(name), std::move(item)});
    }
    return unique(items, out);
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] bool at_string() const {
    const char c = text_[at_];
    return c == '"' || c == '\'' || text_.substr(at_).starts_with(kLongQuote);
  }
  std::string_view bare() {
    const size_t from = at_;
    while (at_ < text_.size() && is_word_byte(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }

  // The name before '=', which it takes too; else nothing.
  std::string keyword_ahead() {
    skip_space();
    const size_t from = at_;
    const std::string name(bare());
    if (!name.empty() && take('=')) return name;
    at_ = from;
    return {};
  }

  bool list(Json& out, char end, int depth) {
    out = Json::array();
    ++at_;
    while (!take(end)) {
      if (!out.empty() && !take(',')) return false;
      if (!out.empty() && take(end)) return true;
      Json item;
      if (!value(item, depth + 1)) return false;
      out.push_back(std::move(item));
    }
    return true;
  }

  bool dict(Json& out, int depth) {
    Json::object_t items;
    ++at_;
    while (!take('}')) {
      if (!items.empty() && !take(',')) return false;
      skip_space();
      if (!items.empty() && take('}')) break;
      if (at_ >= text_.size()) return false;
      std::string key;
      if (at_string()) {
        if (!string(key)) return false;
      } else {
        key = bare();
        if (key.empty()) return false;
      }
      Json item;
      if (!take(':') || !value(item, depth + 1)) return false;
      items.push_back({std::move(key), std::move(item)});
    }
    return unique(items, out);
  }

  // ordered_json looks a key up by going over all: thousands of them are sorted instead.
  static bool unique(Json::object_t& items, Json& out) {
    std::vector<std::string_view> keys;
    for (const auto& item : items) keys.push_back(item.first);
    std::ranges::sort(keys);
    if (std::ranges::adjacent_find(keys) != keys.end()) return false;
    out = std::move(items);
    return true;
  }

  bool string(std::string& out) {
    if (text_.substr(at_).starts_with(kLongQuote)) {
      const size_t from = at_ + kLongQuote.size(), end = text_.find(kLongQuote, from);
      if (end == std::string_view::npos) return false;
      out = text_.substr(from, end - from);
      at_ = end + kLongQuote.size();
      return true;
    }
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return true;
      if (c != '\\') {
        out.push_back(c);
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  bool hex(size_t digits, uint32_t& out) {
    if (text_.size() - at_ < digits) return false;
    const char* first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, first + digits, out, 16);
    at_ += digits;
    return error == std::errc() && end == first + digits;
  }

  bool escape(std::string& out) {
    if (at_ >= text_.size()) return false;
    const char c = text_[at_++];
    constexpr std::string_view kLetters = "ntrbf0", kBytes{"\n\t\r\b\f\0", 6};
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out.push_back(kBytes[i]);
      return true;
    }
    if (c == '\n') return true;
    if (c != 'x' && c != 'u' && c != 'U') {
      if (std::string_view("\\'\"/").find(c) == std::string_view::npos) out.push_back('\\');
      out.push_back(c);
      return true;
    }
    uint32_t code = 0, low = 0;
    if (!hex(c == 'x' ? 2 : c == 'u' ? 4 : 8, code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      if (!hex(4, low) || low < 0xDC00 || low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    append_utf8(out, code);
    return true;
  }

  bool word(Json& out) {
    const std::string_view text = bare();
    if (text == "true" || text == "True") {
      out = true;
    } else if (text == "false" || text == "False") {
      out = false;
    } else if (text == "null" || text == "None" || text == "none") {
      out = nullptr;
    } else {
      if (text.empty() || !is_json(text)) return false;
      out = Json::parse(text, nullptr, false);
      return out.is_number();
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::optional<Json> read_literal(std::string_view text) {
  Reader reader(text);
  Json value;
  if (!reader.value(value) || !reader.at_end()) return std::nullopt;
  return value;
}

std::optional<Json> read_keywords(std::string_view text, std::span<const std::string> positions) {
  Reader reader(text);
  Json value;
  if (!reader.keywords(value, positions)) return std::nullopt;
  return value;
}

std::string bare_literal(const Json& value) {
  if (value.is_string()) {
    return std::string(kLongQuote) + value.get_ref<const std::string&>() + std::string(kLongQuote);
  }
  if (value.is_null()) return "None";
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ",") + bare_literal(item);
    return "[" + out + "]";
  }
  if (!value.is_object()) return value.dump();
  std::vector<std::pair<std::string_view, const Json*>> items;
  for (const auto& [key, item] : value.get_ref<const Json::object_t&>()) items.emplace_back(key, &item);
  std::ranges::sort(items);
  for (const auto& [key, item] : items) {
    out += (out.empty() ? "" : ",") + std::string(key) + ":" + bare_literal(*item);
  }
  return "{" + out + "}";
}

std::string python_literal(const Json& value) {
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ", ") + python_literal(item);
    return "[" + out + "]";
  }
  if (!value.is_object()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const auto& [key, item] : value.items()) {
    out += (out.empty() ? "" : ", ") + Json(key).dump(-1, ' ', false, Json::error_handler_t::replace) + ": " +
           python_literal(item);
  }
  return "{" + out + "}";
}

}  // namespace quern::tools
