// Filters that take text and give text.
#include <algorithm>

#include "chat/format.h"
#include "chat/json.h"
#include "chat/native.h"
#include "chat/operators.h"
#include "chat/text.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

// soft_str: markup stays markup, all else is str().
Value soft_text(Runtime& rt, const Value& v) {
  return v.is_string() ? v : rt.string(str_of(rt, v));
}

template <std::string (*Convert)(std::string_view)>
Value convert(Runtime& rt, const Value& self, const Call&) {
  const Value text = soft_text(rt, self);
  return rt.failed() ? Value() : rt.string(Convert(text.text()), is_markup(text));
}

Value escape(Runtime& rt, const Value& self, const Call&) {
  return is_markup(self) ? self : rt.string(markup_of(rt, self), true);
}

Value force_escape(Runtime& rt, const Value& self, const Call&) {
  return rt.string(escape_html(str_of(rt, self)), true);
}

Value safe(Runtime& rt, const Value& self, const Call&) {
  return rt.string(str_of(rt, self), true);
}

Value string(Runtime& rt, const Value& self, const Call&) {
  return soft_text(rt, self);
}

Value trim(Runtime& rt, const Value& self, const Call& call) {
  const Value text = soft_text(rt, self);
  std::optional<std::string_view> chars;
  if (call.set(0)) chars = call.text(rt, 0, "");
  return rt.failed() ? Value() : rt.string(std::string(strip(text.text(), Side::kBoth, chars)), is_markup(text));
}

Value replace_filter(Runtime& rt, const Value& self, const Call& call) {
  const std::string text = str_of(rt, self);
  const std::string from = str_of(rt, call.arg(0));
  const std::string to = str_of(rt, call.arg(1));
  const int64_t count = call.set(2) ? call.integer(rt, 2, -1) : -1;
  return rt.failed() ? Value() : rt.string(replace(rt, text, from, to, count));
}

// A word begins behind white space, - ( { [ or <.
Value title(Runtime& rt, const Value& self, const Call&) {
  const std::string text = str_of(rt, self);
  std::string out;
  size_t begin = 0;
  const auto add = [&](size_t end) {
    size_t first = begin;
    if (begin < end) {
      next_code_point(text, first);
      out += to_upper(std::string_view(text).substr(begin, first - begin));
      out += to_lower(std::string_view(text).substr(first, end - first));
    }
    begin = end;
  };
  bool in_break = false;
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    const char32_t cp = next_code_point(text, pos);
    const bool breaks = is_space(cp) || std::u32string_view(U"-({[<").find(cp) != std::u32string_view::npos;
    if (breaks != in_break) add(at);
    in_break = breaks;
  }
  add(text.size());
  return rt.string(std::move(out));
}

Value format_filter(Runtime& rt, const Value& self, const Call& call) {
  const Args& args = call.args();
  if (!args.positional.empty() && !args.named.empty()) {
    return rt.raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  }
  const Value pattern = soft_text(rt, self);
  if (rt.failed()) return {};
  if (args.named.empty()) return format_percent(rt, pattern, rt.tuple(args.positional));
  DictObject* dict = rt.dict();
  for (const auto& [name, value] : args.named) dict->set(rt, rt.string(name), value);
  return format_percent(rt, pattern, Value(Kind::kDict, dict));
}

std::string quote_url(std::string_view text, bool query) {
  std::string out;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Value url_encode(Runtime& rt, const Value& self, const Call&) {
  if (self.is_string() || !(is_sized(self) || self.is(Kind::kIterator))) {
    return rt.string(quote_url(str_of(rt, self), false));
  }
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    out += quote_url(str_of(rt, key), true) + "=" + quote_url(str_of(rt, value), true);
  };
  if (self.is_dict()) {
    for (const auto& [key, value] : self.dict().entries) add(key, value);
    return rt.string(std::move(out));
  }
  for (const Value& pair : items_of(rt, self)) {
    const std::vector<Value> both = items_of(rt, pair);
    if (both.size() != 2) return rt.raise("ValueError", "a pair is needed");
    add(both[0], both[1]);
  }
  return rt.string(std::move(out));
}

// markupsafe's striptags: comments and tags go, white space is joined, entities are resolved.
Value strip_tags(Runtime& rt, const Value& self, const Call&) {
  std::string text = str_of(rt, self);
  for (const auto& [open, close] : {std::pair{"<!--", "-->"}, std::pair{"<", ">"}}) {
    std::string kept;
    size_t pos = 0;
    while (true) {
      const size_t begin = text.find(open, pos);
      const size_t end = begin == std::string::npos ? begin : text.find(close, begin);
      if (end == std::string::npos) break;
      kept.append(text, pos, begin - pos);
      pos = end + std::string_view(close).size();
    }
    text = kept.append(text, pos);
  }
  std::string joined;
  for (std::string_view word : split_space(text, -1, false)) joined.append(joined.empty() ? "" : " ").append(word);
  for (const auto& [entity, letter] : {std::pair{"&lt;", "<"}, std::pair{"&gt;", ">"}, std::pair{"&#34;", "\""},
                                       std::pair{"&quot;", "\""}, std::pair{"&#39;", "'"}, std::pair{"&amp;", "&"}}) {
    joined = replace(rt, joined, entity, letter, -1);
  }
  return rt.string(std::move(joined));
}

Value xml_attributes(Runtime& rt, const Value& self, const Call& call) {
  if (!self.is_dict()) return rt.raise("AttributeError", "xmlattr needs a mapping");
  std::string out;
  for (const auto& [key, value] : self.dict().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) return rt.raise("TypeError", "attribute names must be strings");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      return rt.raise("ValueError", fmt::format("Invalid character in attribute name: {}", repr_of_text(key.text())));
    }
    if (!out.empty()) out += ' ';
    out += markup_of(rt, key) + "=\"" + markup_of(rt, value) + "\"";
  }
  if (!out.empty() && (!call.has(0) || call.truth(rt, 0))) out.insert(0, 1, ' ');
  return rt.string(std::move(out));
}

Value word_count(Runtime& rt, const Value& self, const Call&) {
  const std::string text = str_of(rt, self);
  int64_t words = 0;
  bool inside = false;
  for (size_t pos = 0; pos < text.size();) {
    const bool word = is_word(next_code_point(text, pos));
    words += word && !inside;
    inside = word;
  }
  return Value::integer(words);
}

Value to_json(Runtime& rt, const Value& self, const Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.truth(rt, 0);
  if (call.set(1)) {
    style.indented = true;
    style.indent = call.arg(1).is_string()
                       ? std::string(call.arg(1).text())
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(call.integer(rt, 1, 0), 0, 100)), ' ');
    style.item_separator.assign(1, ',');
  }
  if (call.set(2)) {
    const std::vector<Value> both = items_of(rt, call.arg(2));
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string()) {
      return rt.raise("TypeError", "separators must be a pair of strings");
    }
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  style.sort_keys = call.truth(rt, 3);
  std::string text = to_json_text(rt, self, style);
  return rt.failed() ? Value() : rt.string(std::move(text));
}

constexpr Native kFilters[] = {
    {"capitalize", "", 0, convert<to_capitalized>},
    {"e", "", 0, escape},
    {"escape", "", 0, escape},
    {"forceescape", "", 0, force_escape},
    {"format", "*", 0, format_filter},
    {"lower", "", 0, convert<to_lower>},
    {"replace", "old new count", 2, replace_filter},
    {"safe", "", 0, safe},
    {"string", "", 0, string},
    {"striptags", "", 0, strip_tags},
    {"title", "", 0, title},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, to_json},
    {"trim", "chars", 0, trim},
    {"upper", "", 0, convert<to_upper>},
    {"urlencode", "", 0, url_encode},
    {"wordcount", "", 0, word_count},
    {"xmlattr", "autospace", 0, xml_attributes},
};

}  // namespace

std::span<const Native> text_filters() {
  return kFilters;
}

}  // namespace quern::jinja
