// Filters that lay text out: center, indent, truncate, wordwrap.
#include <algorithm>

#include "chat/format_spec.h"
#include "chat/native.h"
#include "chat/operators.h"
#include "chat/text.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

bool needs_text(Runtime& rt, const Value& v) {
  if (v.is_undefined()) {
    rt.raise_undefined(v);
  } else if (!v.is_string()) {
    rt.raise("TypeError", fmt::format("text is needed, not '{}'", type_name(v)));
  }
  return !rt.failed();
}

// CPython's str.center: an odd cell goes left when the width is odd.
Value center(Runtime& rt, const Value& self, const Call& call) {
  const std::string text = str_of(rt, self);
  const int64_t width = call.integer(rt, 0, 80);
  const auto missing = width - static_cast<int64_t>(count_code_points(text));
  if (missing <= 0) return rt.string(text, is_markup(self));
  if (!rt.fits(static_cast<size_t>(missing))) return {};
  const int64_t left = missing / 2 + (missing & width & 1);
  std::string out(static_cast<size_t>(left), ' ');
  out.append(text).append(static_cast<size_t>(missing - left), ' ');
  return rt.string(std::move(out), is_markup(self));
}

Value indent(Runtime& rt, const Value& self, const Call& call) {
  if (!needs_text(rt, self)) return {};
  std::string indention;
  if (call.has(0) && call.arg(0).is_string()) {
    indention = call.arg(0).text();
  } else {
    const auto width = static_cast<size_t>(std::max<int64_t>(call.integer(rt, 0, 4), 0));
    if (!rt.fits(width)) return {};
    indention.assign(width, ' ');
  }
  const bool blank = call.truth(rt, 2);
  const std::string text = self.string().text + "\n";
  std::string out;
  bool first = true;
  for (std::string_view line : split_lines(text, false)) {
    if (!rt.fits(out.size() + indention.size())) return {};
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += indention;
    }
    out += line;
    first = false;
  }
  if (call.truth(rt, 1)) out.insert(0, indention);
  return rt.string(std::move(out), is_markup(self));
}

Value truncate(Runtime& rt, const Value& self, const Call& call) {
  if (!needs_text(rt, self)) return {};
  const int64_t length = call.integer(rt, 0, 255);
  const bool kill_words = call.truth(rt, 1);
  const std::string_view end = call.text(rt, 2, "...");
  const int64_t leeway = call.set(3) ? call.integer(rt, 3, 5) : 5;
  const auto end_length = static_cast<int64_t>(count_code_points(end));
  if (length < end_length || leeway < 0) return rt.raise("AssertionError", "length or leeway is too small");
  const StringObject& s = self.string();
  if (static_cast<int64_t>(s.length) - leeway <= length) return self;
  std::string_view kept = code_points(s, 0, static_cast<size_t>(length - end_length));
  if (!kill_words) kept = split_at(kept, " ", 1, true).front();
  return rt.string(std::string(kept).append(end), s.markup);
}

// textwrap's chunks: white space, words, and the parts of words cut behind hyphens.
std::vector<std::string> chunks_of(std::string_view line, bool break_on_hyphens) {
  std::vector<std::u32string> chunks;
  std::u32string text;
  for (size_t pos = 0; pos < line.size();) text += next_code_point(line, pos);
  const auto space = [](char32_t c) { return c == ' ' || (c >= 9 && c <= 13); };
  const auto letter = [](char32_t c) { return is_alpha(c) || c == '_'; };
  std::u32string chunk;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!chunk.empty() && space(text[i]) != space(chunk.back())) chunks.push_back(std::exchange(chunk, {}));
    chunk += text[i];
    // Behind a hyphen between two letters on its left and letter, letter on its right.
    const bool cut = break_on_hyphens && text[i] == '-' && i >= 2 && letter(text[i - 1]) && letter(text[i - 2]) &&
                     i + 2 < text.size() && letter(text[i + 1]) && (letter(text[i + 2]) || text[i + 2] == '-');
    if (cut) chunks.push_back(std::exchange(chunk, {}));
  }
  if (!chunk.empty()) chunks.push_back(chunk);
  std::vector<std::string> out;
  for (const auto& c : chunks) {
    std::string& s = out.emplace_back();
    for (char32_t cp : c) append_code_point(s, cp);
  }
  return out;
}

// textwrap.wrap with drop_whitespace, on one line.
void wrap_line(std::string_view line, size_t width, bool break_long, bool hyphens, std::vector<std::string>& out) {
  std::vector<std::string> chunks = chunks_of(line, hyphens);
  std::reverse(chunks.begin(), chunks.end());
  const auto blank = [](const std::string& s) { return strip(s, Side::kBoth, std::nullopt).empty(); };
  const size_t first = out.size();
  while (!chunks.empty()) {
    if (out.size() > first && blank(chunks.back())) chunks.pop_back();
    std::vector<std::string> current;
    size_t length = 0;
    while (!chunks.empty()) {
      const size_t n = count_code_points(chunks.back());
      if (length + n > width) break;
      current.push_back(std::move(chunks.back()));
      chunks.pop_back();
      length += n;
    }
    if (!chunks.empty() && count_code_points(chunks.back()) > width) {
      if (break_long) {
        size_t space = width - length;
        std::string& chunk = chunks.back();
        if (hyphens && count_code_points(chunk) > space) {  // behind the last hyphen that still fits
          const std::string_view head = std::string_view(chunk).substr(0, offset_of(chunk, space));
          const size_t hyphen = head.rfind('-');
          if (hyphen != std::string_view::npos && hyphen > 0 && head.find_first_not_of('-') < hyphen) {
            space = count_code_points(head.substr(0, hyphen + 1));
          }
        }
        const size_t cut = offset_of(chunk, space);
        current.push_back(chunk.substr(0, cut));
        chunk.erase(0, cut);
      } else if (current.empty()) {
        current.push_back(std::move(chunks.back()));
        chunks.pop_back();
      }
    }
    if (!current.empty() && blank(current.back())) current.pop_back();
    if (current.empty()) continue;
    std::string& wrapped = out.emplace_back();
    for (const auto& c : current) wrapped += c;
  }
}

Value word_wrap(Runtime& rt, const Value& self, const Call& call) {
  if (!needs_text(rt, self)) return {};
  const int64_t width = call.integer(rt, 0, 79);
  if (width <= 0) return rt.raise("ValueError", fmt::format("invalid width {} (must be > 0)", width));
  const bool break_long = !call.has(1) || call.truth(rt, 1);
  const std::string_view joint = call.set(2) ? call.text(rt, 2, "") : "\n";
  const bool hyphens = !call.has(3) || call.truth(rt, 3);
  std::string out;
  bool first = true;
  for (std::string_view line : split_lines(self.text(), false)) {
    if (!rt.step(line.size() + 1) || !rt.fits(line.size() * 40)) return {};
    std::vector<std::string> wrapped;
    wrap_line(line, static_cast<size_t>(width), break_long, hyphens, wrapped);
    if (wrapped.empty()) wrapped.emplace_back();
    for (const std::string& part : wrapped) {
      if (!first) out += joint;
      first = false;
      out += part;
      if (!rt.fits(out.size() + joint.size())) return {};
    }
  }
  return rt.string(std::move(out));
}

constexpr Native kFilters[] = {
    {"center", "width", 0, center},
    {"indent", "width first blank", 0, indent},
    {"truncate", "length killwords end leeway", 0, truncate},
    {"wordwrap", "width break_long_words wrapstring break_on_hyphens", 0, word_wrap},
};

}  // namespace

std::span<const Native> layout_filters() {
  return kFilters;
}

}  // namespace quern::jinja
