// str() and repr().
#include <array>
#include <charconv>
#include <cmath>

#include "chat/native.h"
#include "chat/operators.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

void append_items(Runtime& rt, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size() && rt.step() && rt.fits(out.size()); ++i) {
    if (i > 0) out += ", ";
    append_repr(rt, out, items[i]);
  }
}

void append_tuple(Runtime& rt, std::string& out, const std::vector<Value>& items) {
  out += '(';
  append_items(rt, out, items);
  out += items.size() == 1 ? ",)" : ")";
}

template <class Pairs, class KeyText>
void append_pairs(Runtime& rt, std::string& out, const Pairs& pairs, KeyText append_key) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : pairs) {
    if (!rt.step() || !rt.fits(out.size())) return;
    if (!first) out += ", ";
    first = false;
    append_key(key);
    out += ": ";
    append_repr(rt, out, value);
  }
  out += '}';
}

void append_range(std::string& out, const RangeObject& r) {
  out += r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop)
                     : fmt::format("range({}, {}, {})", r.start, r.stop, r.step);
}

void append_escaped(std::string& out, char32_t cp, char quote) {
  if (cp == '\\' || cp == static_cast<char32_t>(quote)) {
    out += '\\';
    out += static_cast<char>(cp);
  } else if (cp == '\n') {
    out += "\\n";
  } else if (cp == '\r') {
    out += "\\r";
  } else if (cp == '\t') {
    out += "\\t";
  } else if (is_printable(cp)) {
    append_code_point(out, cp);
  } else if (cp < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(cp));
  } else if (cp < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(cp));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(cp));
  }
}

// Objects that Python would print with their address.
void append_object(std::string& out, const Value& v) {
  if (v.is(Kind::kFunction)) {
    out += fmt::format("<function {}>", v.as<FunctionObject>().native->name);
  } else if (v.is(Kind::kIterator)) {
    out += fmt::format("<{} object>", type_name(v));
  } else {
    out += fmt::format("<{}>", type_name(v));
  }
}

}  // namespace

std::string repr_of_text(std::string_view text) {
  const bool single = text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (size_t pos = 0; pos < text.size();) append_escaped(out, next_code_point(text, pos), quote);
  out += quote;
  return out;
}

std::string repr_of_double(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  // The shortest digits that read back as the same number, laid out as float.__repr__ does: plain from 1e-4 to 1e16.
  std::array<char, 40> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d, std::chars_format::scientific).ptr;
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = text.find('e');
  std::string out(text.front() == '-' ? "-" : "");
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  int exponent = 0;
  const size_t skip = text[e + 1] == '+' ? 2 : 1;
  std::from_chars(text.data() + e + skip, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (digits.size() > 1) out.append(1, '.').append(digits, 1);
    return out + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

void append_str(Runtime& rt, std::string& out, const Value& v) {
  if (v.is_string()) {
    out += v.text();
  } else if (!v.is_undefined()) {
    append_repr(rt, out, v);
  }
}

void append_repr(Runtime& rt, std::string& out, const Value& v) {
  Runtime::Depth depth(rt);
  if (!depth) return;
  switch (v.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      break;
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += v.as_int() ? "True" : "False";
      break;
    case Kind::kInt:
      out += fmt::format("{}", v.as_int());
      break;
    case Kind::kFloat:
      out += repr_of_double(v.as_double());
      break;
    case Kind::kString: {
      if (!rt.step(v.text().size() / 64)) return;
      const std::string quoted = repr_of_text(v.text());
      out += v.string().markup ? fmt::format("Markup({})", quoted) : quoted;
      break;
    }
    case Kind::kList:
      out += '[';
      append_items(rt, out, v.seq());
      out += ']';
      break;
    case Kind::kTuple:
      append_tuple(rt, out, v.seq());
      break;
    case Kind::kView:
      out += fmt::format("{}([", type_name(v));
      append_items(rt, out, v.seq());
      out += "])";
      break;
    case Kind::kDict:
      append_pairs(rt, out, v.dict().entries, [&](const Value& key) { append_repr(rt, out, key); });
      break;
    case Kind::kRange:
      append_range(out, v.range());
      break;
    case Kind::kNamespace:
      out += "<Namespace ";
      append_pairs(rt, out, v.as<NamespaceObject>().fields, [&](const auto& key) { out += repr_of_text(key); });
      out += '>';
      break;
    default:
      append_object(out, v);
  }
}

std::string str_of(Runtime& rt, const Value& v) {
  std::string out;
  append_str(rt, out, v);
  return out;
}

std::string repr_of(Runtime& rt, const Value& v) {
  std::string out;
  append_repr(rt, out, v);
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

bool is_markup(const Value& v) {
  return v.is_string() && v.string().markup;
}

std::string markup_of(Runtime& rt, const Value& v) {
  return is_markup(v) ? v.string().text : escape_html(str_of(rt, v));
}

}  // namespace quern::jinja
