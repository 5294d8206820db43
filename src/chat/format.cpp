#include "chat/format.h"

#include <algorithm>
#include <cmath>

#include "chat/format_spec.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

// "%..." against its arguments.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const Value& pattern, const Value& args)
      : rt_(rt), rest_(pattern.text()), args_(args), markup_(is_markup(pattern)) {}

  Value run() {
    std::string out;
    while (!rest_.empty() && rt_.step()) {
      const size_t percent = rest_.find('%');
      out += rest_.substr(0, percent);
      if (percent == std::string_view::npos) break;
      rest_.remove_prefix(percent + 1);
      directive(out);
      if (!rt_.fits(out.size())) return {};
    }
    const size_t given = args_.is(Kind::kTuple) ? args_.seq().size() : 1;
    const bool mapping = args_.is_dict() || args_.is(Kind::kList) || args_.is_undefined();
    if (!mapping && used_ < given) {
      return rt_.raise("TypeError", "not all arguments converted during string formatting");
    }
    return rt_.failed() ? Value() : rt_.string(std::move(out), markup_);
  }

 private:
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

  Value next_arg() {
    if (args_.is(Kind::kTuple)) {
      if (used_ < args_.seq().size()) return args_.seq()[used_++];
    } else if (used_ == 0) {
      ++used_;
      return args_;
    }
    return rt_.raise("TypeError", "not enough arguments for format string");
  }

  // "(key)": the value of the mapping.
  bool take_key(Value& value) {
    if (peek() != '(') return false;
    size_t depth = 0;
    for (size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '(') ++depth;
      if (rest_[i] != ')' || --depth > 0) continue;
      const std::string_view key = rest_.substr(1, i - 1);
      rest_.remove_prefix(i + 1);
      const Value* found = args_.is_dict() ? args_.dict().find(key) : nullptr;
      if (!args_.is_dict()) {
        rt_.raise("TypeError", "format requires a mapping");
      } else if (!found) {
        rt_.raise("KeyError", repr_of_text(key));
      } else {
        value = *found;
      }
      return true;
    }
    rt_.raise("ValueError", "incomplete format key");
    return true;
  }

  int64_t take_size() {
    if (peek() == '*') {
      rest_.remove_prefix(1);
      const Value v = next_arg();
      if (!v.is_integral()) rt_.raise("TypeError", "* wants int");
      return v.is_integral() ? v.as_int() : 0;
    }
    int64_t n = 0;
    for (; peek() >= '0' && peek() <= '9'; rest_.remove_prefix(1)) {
      if (n <= FormatSpec::kMaxWidth) n = n * 10 + (peek() - '0');
    }
    return n;
  }

  void directive(std::string& out) {
    FormatSpec spec;
    Value value;
    const bool keyed = take_key(value);
    bool left = false;
    bool zero = false;
    for (bool flags = true; flags;) {
      switch (peek()) {
        case '-':
          left = true;
          break;
        case '0':
          zero = true;
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          spec.sign = spec.sign == '+' ? '+' : ' ';
          break;
        case '#':
          spec.alternate = true;
          break;
        default:
          flags = false;
          continue;
      }
      rest_.remove_prefix(1);
    }
    spec.width = take_size();
    if (spec.width < 0) {
      left = true;
      spec.width = spec.width < -FormatSpec::kMaxWidth ? FormatSpec::kMaxWidth + 1 : -spec.width;
    }
    if (peek() == '.') {
      rest_.remove_prefix(1);
      spec.precision = std::max<int64_t>(take_size(), 0);
    }
    if (peek() == 'h' || peek() == 'l' || peek() == 'L') rest_.remove_prefix(1);
    if (rest_.empty()) {
      rt_.raise("ValueError", "incomplete format");
      return;
    }
    spec.type = peek();
    rest_.remove_prefix(1);
    if (spec.type == '%') {
      out += '%';
      return;
    }
    if (!check_size(rt_, spec)) return;
    spec.align = left ? '<' : '>';
    if (!keyed) value = next_arg();
    if (!rt_.failed()) convert(out, spec, zero && !left, value);
  }

  void convert(std::string& out, FormatSpec spec, bool zero, const Value& value) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text =
            spec.type == 's' ? (markup_ ? markup_of(rt_, value) : str_of(rt_, value)) : repr_of(rt_, value);
        if (spec.precision >= 0) {
          spec.type = 's';
          FormatSpec cut;
          cut.precision = spec.precision;
          text = format_value(rt_, cut, rt_.string(std::move(text)));
        }
        out += pad(spec, text, '>');
        return;
      }
      case 'c':
        if (value.is_string() && value.string().length == 1) {
          out += pad(spec, value.text(), '>');
        } else if (value.is_integral()) {
          spec.precision = -1;
          out += format_int(rt_, spec, value.as_int());
        } else {
          rt_.raise("TypeError", "%c requires int or char");
        }
        return;
      default:
        convert_number(out, spec, zero, value);
    }
  }

  void convert_number(std::string& out, FormatSpec spec, bool zero, const Value& value) {
    const char type = spec.type;
    if (std::string_view("diuoxXeEfFgG").find(type) == std::string_view::npos) {
      rt_.raise("ValueError", fmt::format("unsupported format character (0x{:x})", static_cast<unsigned char>(type)));
      return;
    }
    const bool whole = std::string_view("diuoxX").find(type) != std::string_view::npos;
    const bool hex = type == 'o' || type == 'x' || type == 'X';
    if (value.is_undefined()) {
      rt_.raise_undefined(value);
      return;
    }
    if (!value.is_number() || (hex && value.is(Kind::kFloat))) {
      rt_.raise("TypeError", fmt::format("%{} format: a number is required, not {}", type, type_name(value)));
      return;
    }
    if (zero) {
      spec.fill.assign(1, '0');
      spec.align = '=';
    }
    if (!whole) {
      out += format_float(spec, value.as_double());
      return;
    }
    if (value.is(Kind::kFloat) && !(std::fabs(value.as_double()) < 9.2e18)) {
      rt_.raise("OverflowError", "the number does not fit 64 bits");
      return;
    }
    // A precision is the least number of digits.
    const int64_t number = value.is(Kind::kFloat) ? static_cast<int64_t>(value.as_double()) : value.as_int();
    const int64_t digits = spec.precision;
    spec.precision = -1;
    if (!hex) spec.type = 'd';
    if (digits >= 0) {
      FormatSpec exact = spec;
      exact.fill.assign(1, '0');
      exact.align = '=';
      exact.width = digits + (number < 0 || spec.sign != '-' ? 1 : 0) + (spec.alternate && hex ? 2 : 0);
      const std::string text = format_int(rt_, exact, number);
      out += pad(spec, text, '>');
      return;
    }
    out += format_int(rt_, spec, number);
  }

  Runtime& rt_;
  std::string_view rest_;
  const Value& args_;
  bool markup_;
  size_t used_ = 0;
};

// "{...}" against its arguments.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const Args& args) : rt_(rt), args_(args) {}

  std::string run(std::string_view text, int nesting) {
    std::string out;
    while (!text.empty() && rt_.step() && rt_.fits(out.size())) {
      const size_t brace = text.find_first_of("{}");
      out += text.substr(0, brace);
      if (brace == std::string_view::npos) break;
      const char c = text[brace];
      text.remove_prefix(brace + 1);
      if (!text.empty() && text.front() == c) {
        out += c;
        text.remove_prefix(1);
      } else if (c == '}') {
        rt_.raise("ValueError", "Single '}' encountered in format string");
      } else {
        field(out, text, nesting);
      }
    }
    return out;
  }

 private:
  void field(std::string& out, std::string_view& text, int nesting) {
    size_t depth = 1;
    size_t end = 0;
    for (; end < text.size(); ++end) {
      if (text[end] == '{') ++depth;
      if (text[end] == '}' && --depth == 0) break;
    }
    if (end == text.size() || nesting > 1) {
      rt_.raise("ValueError", nesting > 1 ? "Max string recursion exceeded" : "expected '}' before end of string");
      return;
    }
    std::string_view inside = text.substr(0, end);
    text.remove_prefix(end + 1);
    const size_t name_end = inside.find_first_of("!:");
    Value value = lookup(inside.substr(0, name_end));
    inside = name_end == std::string_view::npos ? std::string_view{} : inside.substr(name_end);
    if (inside.size() >= 2 && inside.front() == '!') {
      if (inside[1] != 's' && inside[1] != 'r' && inside[1] != 'a') rt_.raise("ValueError", "unknown conversion");
      value = rt_.string(inside[1] == 's' ? str_of(rt_, value) : repr_of(rt_, value));
      inside.remove_prefix(2);
    }
    if (!inside.empty() && inside.front() != ':') rt_.raise("ValueError", "expected ':' after conversion specifier");
    const std::string spec_text = inside.empty() ? "" : run(inside.substr(1), nesting + 1);
    if (rt_.failed()) return;
    FormatSpec spec;
    if (spec_text.empty()) {
      append_str(rt_, out, value);
    } else if (parse_spec(rt_, spec_text, spec)) {
      out += format_value(rt_, spec, value);
    }
  }

  Value first(std::string_view name) {
    if (name.empty() || (name.front() >= '0' && name.front() <= '9')) {
      size_t index = automatic_;
      if (name.empty()) {
        ++automatic_;
      } else {
        index = 0;
        for (char c : name) index = index < 1'000'000 && c >= '0' && c <= '9' ? index * 10 + size_t(c - '0') : SIZE_MAX;
      }
      if (index < args_.positional.size()) return args_.positional[index];
      return rt_.raise("IndexError", "Replacement index out of range for positional args tuple");
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    return rt_.raise("KeyError", repr_of_text(name));
  }

  Value lookup(std::string_view path) {
    const size_t end = path.find_first_of(".[");
    if (end == 0) return rt_.raise("KeyError", "''");  // string.Formatter numbers only "{}"
    Value value = first(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view{} : path.substr(end);
    while (!path.empty() && rt_.step()) {
      if (path.front() == '.') {
        const size_t stop = path.find_first_of(".[", 1);
        value = get_attribute(rt_, value, path.substr(1, stop == std::string_view::npos ? stop : stop - 1));
        path = stop == std::string_view::npos ? std::string_view{} : path.substr(stop);
        continue;
      }
      const size_t close = path.find(']');
      if (path.front() != '[' || close == std::string_view::npos || close == 1) {
        return rt_.raise("ValueError", "malformed field name in format string");
      }
      const std::string_view key = path.substr(1, close - 1);
      const bool number = key.find_first_not_of("0123456789") == std::string_view::npos && key.size() < 10;
      value = get_item(rt_, value, number ? Value::integer(std::stol(std::string(key))) : rt_.string(std::string(key)));
      path.remove_prefix(close + 1);
    }
    return value;
  }

  Runtime& rt_;
  const Args& args_;
  size_t automatic_ = 0;
};

}  // namespace

Value format_percent(Runtime& rt, const Value& pattern, const Value& args) {
  return PercentFormatter(rt, pattern, args).run();
}

Value format_braces(Runtime& rt, const Value& pattern, const Args& args) {
  std::string text = BraceFormatter(rt, args).run(pattern.text(), 0);
  return rt.failed() ? Value() : rt.string(std::move(text), is_markup(pattern));
}

}  // namespace quern::jinja
