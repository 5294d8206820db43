#include "chat/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "chat/operators.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style) {}

  std::string take() { return std::move(out_); }

  void write(const Value& v) {
    Runtime::Depth depth(rt_);
    if (!depth || !rt_.step() || !rt_.fits(out_.size())) return;
    switch (v.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += v.as_int() ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += fmt::format("{}", v.as_int());
        break;
      case Kind::kFloat:
        out_ += number(v.as_double());
        break;
      case Kind::kString:
        text(v.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        array(v.seq());
        break;
      case Kind::kDict:
        object(v.dict());
        break;
      default:
        rt_.raise("TypeError", fmt::format("Object of type {} is not JSON serializable", type_name(v)));
    }
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
    return repr_of_double(d);
  }

  void line() {
    out_ += '\n';
    for (size_t i = 0; i < level_; ++i) out_ += style_.indent;
  }

  void open(char c) {
    out_ += c;
    ++level_;
    if (style_.indented) line();
  }

  void close(char c) {
    --level_;
    if (style_.indented) line();
    out_ += c;
  }

  void separate() {
    out_ += style_.item_separator;
    if (style_.indented) line();
  }

  void array(const std::vector<Value>& items) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    open('[');
    for (size_t i = 0; i < items.size() && !rt_.failed(); ++i) {
      if (i > 0) separate();
      write(items[i]);
    }
    close(']');
  }

  // Keys that are not text become the text that Python makes of them.
  void key(const Value& v) {
    switch (v.kind()) {
      case Kind::kString:
        text(v.text());
        break;
      case Kind::kNone:
        text("null");
        break;
      case Kind::kBool:
        text(v.as_int() ? "true" : "false");
        break;
      case Kind::kInt:
        text(fmt::format("{}", v.as_int()));
        break;
      case Kind::kFloat:
        text(number(v.as_double()));
        break;
      default:
        rt_.raise("TypeError", fmt::format("keys must be str, int, float, bool or None, not {}", type_name(v)));
    }
  }

  void object(const DictObject& dict) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<std::pair<Value, Value>> entries = dict.entries;
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [this](const auto& a, const auto& b) { return less(rt_, a.first, b.first); });
    }
    open('{');
    for (size_t i = 0; i < entries.size() && !rt_.failed(); ++i) {
      if (i > 0) separate();
      key(entries[i].first);
      out_ += style_.key_separator;
      write(entries[i].second);
    }
    close('}');
  }

  void text(std::string_view s) {
    if (!rt_.step(s.size() / 64)) return;
    out_ += '"';
    for (size_t pos = 0; pos < s.size();) {
      const size_t at = pos;
      const char32_t cp = next_code_point(s, pos);
      switch (cp) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\b':
          out_ += "\\b";
          break;
        case '\f':
          out_ += "\\f";
          break;
        default:
          if (cp < 0x20 || (style_.ensure_ascii && cp > 0x7E && cp < 0x10000)) {
            out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(cp));
          } else if (style_.ensure_ascii && cp >= 0x10000) {
            const auto c = static_cast<uint32_t>(cp) - 0x10000;
            out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
          } else {
            out_ += s.substr(at, pos - at);
          }
      }
    }
    out_ += '"';
  }

  Runtime& rt_;
  const JsonStyle& style_;
  std::string out_;
  size_t level_ = 0;
};

Value text_from(Runtime& rt, const std::string& text) {
  if (!valid_utf8(text)) return rt.raise("UnicodeDecodeError", "a string of the context is not UTF-8");
  return rt.string(text);
}

}  // namespace

std::string to_json_text(Runtime& rt, const Value& value, const JsonStyle& style) {
  JsonWriter writer(rt, style);
  writer.write(value);
  return writer.take();
}

Value from_json(Runtime& rt, const nlohmann::ordered_json& json) {
  Runtime::Depth depth(rt);
  if (!depth || !rt.step()) return {};
  using Type = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Type::null:
      return Value::none();
    case Type::boolean:
      return Value::boolean(json.get<bool>());
    case Type::number_float:
      return Value::real(json.get<double>());
    case Type::number_integer:
      return Value::integer(json.get<int64_t>());
    case Type::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) return rt.raise("OverflowError", "an integer does not fit 64 bits");
      return Value::integer(json.get<int64_t>());
    case Type::string:
      return text_from(rt, json.get_ref<const std::string&>());
    case Type::array: {
      std::vector<Value> items;
      if (!rt.fits(json.size() * sizeof(Value))) return {};
      for (const auto& item : json) {
        items.push_back(from_json(rt, item));
        if (rt.failed()) return {};
      }
      return rt.list(std::move(items));
    }
    case Type::object: {
      DictObject* dict = rt.dict();
      for (auto it = json.begin(); it != json.end() && !rt.failed(); ++it) {
        const Value key = text_from(rt, it.key());
        const Value value = from_json(rt, it.value());
        if (!rt.failed()) dict->set(rt, key, value);
      }
      return {Kind::kDict, dict};
    }
    default:
      return rt.raise("TypeError", "the context holds a value that JSON does not have");
  }
}

}  // namespace quern::jinja
