// str's methods, but for those that split (methods_split.cpp).
#include <algorithm>

#include "chat/format.h"
#include "chat/native.h"
#include "chat/operators.h"
#include "chat/text.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

Value like(Runtime& rt, const Value& self, std::string text) {
  return rt.string(std::move(text), is_markup(self));
}

template <std::string (*Convert)(std::string_view)>
Value convert(Runtime& rt, const Value& self, const Call&) {
  return like(rt, self, Convert(self.text()));
}

template <Side kSide>
Value strip_method(Runtime& rt, const Value& self, const Call& call) {
  std::optional<std::string_view> chars;
  if (call.set(0)) chars = call.text(rt, 0, "");
  return rt.failed() ? Value() : like(rt, self, std::string(strip(self.text(), kSide, chars)));
}

// Whether every character passes, and there is one.
template <bool (*Check)(char32_t)>
Value all_are(Runtime&, const Value& self, const Call&) {
  const std::string_view text = self.text();
  for (size_t pos = 0; pos < text.size();) {
    if (!Check(next_code_point(text, pos))) return Value::boolean(false);
  }
  return Value::boolean(!text.empty());
}

bool is_alnum(char32_t cp) {
  return is_alpha(cp) || is_decimal(cp) || is_digit(cp) || is_numeric(cp);
}

Value is_ascii_text(Runtime&, const Value& self, const Call&) {
  return Value::boolean(self.string().ascii());
}

Value is_printable_text(Runtime& rt, const Value& self, const Call& call) {
  return self.text().empty() ? Value::boolean(true) : all_are<is_printable>(rt, self, call);
}

Value is_identifier_text(Runtime&, const Value& self, const Call&) {
  return Value::boolean(is_identifier(self.text()));
}

template <bool (*Wanted)(char32_t), bool (*Other)(char32_t)>
Value in_case(Runtime&, const Value& self, const Call&) {
  bool any = false;
  const std::string_view text = self.text();
  for (size_t pos = 0; pos < text.size();) {
    const char32_t cp = next_code_point(text, pos);
    if (Other(cp) || is_title(cp)) return Value::boolean(false);
    any = any || Wanted(cp);
  }
  return Value::boolean(any);
}

Value is_title_text(Runtime&, const Value& self, const Call&) {
  bool any = false;
  bool inside = false;
  const std::string_view text = self.text();
  for (size_t pos = 0; pos < text.size();) {
    const char32_t cp = next_code_point(text, pos);
    if (is_upper(cp) || is_title(cp)) {
      if (inside) return Value::boolean(false);
      inside = any = true;
    } else if (is_lower(cp)) {
      if (!inside) return Value::boolean(false);
      any = true;
    } else {
      inside = false;
    }
  }
  return Value::boolean(any);
}

// The part [arg i, arg i + 1) of the text in code points, as str.find and its kin take it.
struct Window {
  std::string_view text;
  size_t first;  // in code points
  bool valid;    // false when it begins behind the end, where even "" is not found
};

Window window(Runtime& rt, const Value& self, const Call& call, size_t i) {
  const StringObject& s = self.string();
  const auto n = static_cast<int64_t>(s.length);
  int64_t begin = call.set(i) ? call.integer(rt, i, 0) : 0;
  int64_t end = call.set(i + 1) ? call.integer(rt, i + 1, n) : n;
  if (begin < 0) begin = std::max<int64_t>(begin + n, 0);
  if (end < 0) end = std::max<int64_t>(end + n, 0);
  end = std::min(end, n);
  if (begin > end) return {{}, 0, false};
  return {code_points(s, static_cast<size_t>(begin), static_cast<size_t>(end)), static_cast<size_t>(begin), true};
}

template <bool kStart>
Value has_affix(Runtime& rt, const Value& self, const Call& call) {
  const Window w = window(rt, self, call, 1);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string()) {
      rt.raise("TypeError", fmt::format("first arg must be str or a tuple of str, not {}", type_name(affix)));
      return false;
    }
    return w.valid && (kStart ? w.text.starts_with(affix.text()) : w.text.ends_with(affix.text()));
  };
  const Value& arg = call.arg(0);
  if (!arg.is(Kind::kTuple)) return Value::boolean(matches(arg));
  return Value::boolean(std::any_of(arg.seq().begin(), arg.seq().end(), matches));
}

template <bool kLast, bool kRaise>
Value find_method_text(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view needle = call.text(rt, 0, "");
  const Window w = window(rt, self, call, 1);
  if (!rt.step(w.text.size() / 16)) return {};
  const size_t at = !w.valid ? std::string_view::npos : kLast ? w.text.rfind(needle) : w.text.find(needle);
  if (at == std::string_view::npos) {
    return kRaise ? rt.raise("ValueError", "substring not found") : Value::integer(-1);
  }
  return Value::integer(static_cast<int64_t>(w.first + count_code_points(w.text.substr(0, at))));
}

Value count(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view needle = call.text(rt, 0, "");
  const Window w = window(rt, self, call, 1);
  if (!w.valid || rt.failed()) return Value::integer(0);
  if (needle.empty()) return Value::integer(static_cast<int64_t>(count_code_points(w.text)) + 1);
  int64_t n = 0;
  for (size_t at = w.text.find(needle); at != std::string_view::npos; at = w.text.find(needle, at + needle.size())) ++n;
  return Value::integer(n);
}

Value replace_method(Runtime& rt, const Value& self, const Call& call) {
  std::string from(call.text(rt, 0, ""));
  std::string to(call.text(rt, 1, ""));
  if (is_markup(self) && !rt.failed()) {
    from = markup_of(rt, call.arg(0));
    to = markup_of(rt, call.arg(1));
  }
  const int64_t limit = call.integer(rt, 2, -1);
  return rt.failed() ? Value() : like(rt, self, replace(rt, self.text(), from, to, limit));
}

Value join_method(Runtime& rt, const Value& self, const Call& call) {
  std::string out;
  Iteration it;
  if (!it.begin(rt, call.arg(0))) return {};
  bool first = true;
  for (Value v; it.next(rt, v);) {
    if (!first) out += self.text();
    first = false;
    if (is_markup(self)) {
      out += markup_of(rt, v);
    } else if (!v.is_string()) {
      return rt.raise("TypeError", fmt::format("sequence item: expected str instance, {} found", type_name(v)));
    } else {
      out += v.text();
    }
    if (!rt.fits(out.size())) return {};
  }
  return rt.failed() ? Value() : like(rt, self, std::move(out));
}

enum class Justify : uint8_t { kLeft, kRight, kCenter };

template <Justify kHow>
Value justify(Runtime& rt, const Value& self, const Call& call) {
  const int64_t width = call.integer(rt, 0, 0);
  const std::string_view fill = call.text(rt, 1, " ");
  if (count_code_points(fill) != 1) {
    return rt.raise("TypeError", "The fill character must be exactly one character long");
  }
  const int64_t missing = width - static_cast<int64_t>(self.string().length);
  if (missing <= 0) return self;
  if (static_cast<uint64_t>(missing) > SIZE_MAX / 8 || !rt.fits(static_cast<size_t>(missing) * fill.size()))
    return rt.refuse("max_memory_bytes");
  int64_t left = kHow == Justify::kLeft ? 0 : missing;
  if (kHow == Justify::kCenter) left = missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return like(rt, self, std::move(out));
}

Value zero_fill(Runtime& rt, const Value& self, const Call& call) {
  const int64_t missing = call.integer(rt, 0, 0) - static_cast<int64_t>(self.string().length);
  if (missing <= 0 || rt.failed()) return self;
  if (!rt.fits(static_cast<size_t>(missing))) return {};
  std::string out(self.text());
  const bool sign = !out.empty() && (out[0] == '-' || out[0] == '+');
  out.insert(sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return like(rt, self, std::move(out));
}

template <bool kPrefix>
Value remove_affix(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view affix = call.text(rt, 0, "");
  std::string_view text = self.text();
  if (kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!kPrefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return like(rt, self, std::string(text));
}

Value expand_tabs(Runtime& rt, const Value& self, const Call& call) {
  const int64_t size = call.integer(rt, 0, 8);
  std::string out;
  int64_t column = 0;
  const std::string_view text = self.text();
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    const char32_t cp = next_code_point(text, pos);
    if (cp != '\t') {
      out += text.substr(at, pos - at);
      column = cp == '\n' || cp == '\r' ? 0 : column + 1;
    } else if (size > 0) {
      const int64_t spaces = size - column % size;
      if (!rt.fits(out.size() + static_cast<size_t>(spaces))) return {};
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    }
  }
  return like(rt, self, std::move(out));
}

Value format_method(Runtime& rt, const Value& self, const Call& call) {
  return format_braces(rt, self, call.args());
}

Value format_map(Runtime& rt, const Value& self, const Call& call) {
  Args args;
  if (!call.arg(0).is_dict()) return rt.raise("TypeError", "format_map() needs a mapping");
  for (const auto& [key, value] : call.arg(0).dict().entries) {
    if (key.is_string()) args.named.emplace_back(key.text(), value);
  }
  return format_braces(rt, self, args);
}

constexpr Native kMethods[] = {
    {"capitalize", "", 0, convert<to_capitalized>},
    {"casefold", "", 0, convert<fold_case>},
    {"center", "/width /fillchar", 1, justify<Justify::kCenter>},
    {"count", "/sub /start /end", 1, count},
    {"endswith", "/suffix /start /end", 1, has_affix<false>},
    {"expandtabs", "tabsize", 0, expand_tabs},
    {"find", "/sub /start /end", 1, find_method_text<false, false>},
    {"format", "*", 0, format_method},
    {"format_map", "/mapping", 1, format_map},
    {"index", "/sub /start /end", 1, find_method_text<false, true>},
    {"isalnum", "", 0, all_are<is_alnum>},
    {"isalpha", "", 0, all_are<is_alpha>},
    {"isascii", "", 0, is_ascii_text},
    {"isdecimal", "", 0, all_are<is_decimal>},
    {"isdigit", "", 0, all_are<is_digit>},
    {"isidentifier", "", 0, is_identifier_text},
    {"islower", "", 0, in_case<is_lower, is_upper>},
    {"isnumeric", "", 0, all_are<is_numeric>},
    {"isprintable", "", 0, is_printable_text},
    {"isspace", "", 0, all_are<is_space>},
    {"istitle", "", 0, is_title_text},
    {"isupper", "", 0, in_case<is_upper, is_lower>},
    {"join", "/iterable", 1, join_method},
    {"ljust", "/width /fillchar", 1, justify<Justify::kLeft>},
    {"lower", "", 0, convert<to_lower>},
    {"lstrip", "/chars", 0, strip_method<Side::kLeft>},
    {"removeprefix", "/prefix", 1, remove_affix<true>},
    {"removesuffix", "/suffix", 1, remove_affix<false>},
    {"replace", "/old /new /count", 2, replace_method},
    {"rfind", "/sub /start /end", 1, find_method_text<true, false>},
    {"rindex", "/sub /start /end", 1, find_method_text<true, true>},
    {"rjust", "/width /fillchar", 1, justify<Justify::kRight>},
    {"rstrip", "/chars", 0, strip_method<Side::kRight>},
    {"startswith", "/prefix /start /end", 1, has_affix<true>},
    {"strip", "/chars", 0, strip_method<Side::kBoth>},
    {"swapcase", "", 0, convert<swap_case>},
    {"title", "", 0, convert<to_title>},
    {"upper", "", 0, convert<to_upper>},
    {"zfill", "/width", 1, zero_fill},
};

}  // namespace

std::span<const Native> string_methods() {
  return kMethods;
}

}  // namespace quern::jinja
