#include "chat/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace quern::jinja {
namespace {

utf8proc_category_t category(char32_t cp) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(cp));
}

char32_t simple_upper(char32_t cp) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<int32_t>(cp)));
}
char32_t simple_lower(char32_t cp) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(cp)));
}
char32_t simple_title(char32_t cp) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<int32_t>(cp)));
}

// The letters whose upper case is longer than one code point (Unicode SpecialCasing.txt, the unconditional ones that
// have no combining marks; Greek with iota subscript keeps its simple mapping).
struct FullCase {
  char32_t cp;
  std::string_view upper;
  std::string_view title;
};
constexpr std::array kFullCases = {
    FullCase{0xDF, "SS", "Ss"},     FullCase{0x149, "ʼN", "ʼN"},    FullCase{0x1F0, "J̌", "J̌"},
    FullCase{0x587, "ԵՒ", "Եւ"},    FullCase{0x1E96, "H̱", "H̱"},     FullCase{0x1E97, "T̈", "T̈"},
    FullCase{0x1E98, "W̊", "W̊"},     FullCase{0x1E99, "Y̊", "Y̊"},     FullCase{0x1E9A, "Aʾ", "Aʾ"},
    FullCase{0xFB00, "FF", "Ff"},   FullCase{0xFB01, "FI", "Fi"},   FullCase{0xFB02, "FL", "Fl"},
    FullCase{0xFB03, "FFI", "Ffi"}, FullCase{0xFB04, "FFL", "Ffl"}, FullCase{0xFB05, "ST", "St"},
    FullCase{0xFB06, "ST", "St"},
};

const FullCase* full_case(char32_t cp) {
  if (cp < 0xDF) return nullptr;
  const auto* row = std::find_if(kFullCases.begin(), kFullCases.end(), [cp](const FullCase& c) { return c.cp == cp; });
  return row == kFullCases.end() ? nullptr : row;
}

void append_upper(std::string& out, char32_t cp) {
  if (const FullCase* full = full_case(cp)) {
    out += full->upper;
  } else {
    append_code_point(out, simple_upper(cp));
  }
}

void append_title(std::string& out, char32_t cp) {
  if (const FullCase* full = full_case(cp)) {
    out += full->title;
  } else {
    append_code_point(out, simple_title(cp));
  }
}

bool is_cased(char32_t cp) {
  return is_upper(cp) || is_lower(cp) || is_title(cp);
}

bool is_case_ignorable(char32_t cp) {
  const auto c = category(cp);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK || cp == '\'' || cp == '.' || cp == ':' || cp == 0xB7 ||
         cp == 0x2019;
}

// A capital sigma becomes the final form behind a letter and not before one (Unicode, condition Final_Sigma).
bool is_final_sigma(std::string_view text, size_t begin, size_t end) {
  bool before = false;
  for (size_t pos = begin; pos > 0 && !before;) {
    do {
      --pos;
    } while ((static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
    size_t at = pos;
    const char32_t cp = next_code_point(text, at);
    if (is_case_ignorable(cp)) continue;
    if (!is_cased(cp)) return false;
    before = true;
  }
  for (size_t pos = end; pos < text.size();) {
    const char32_t cp = next_code_point(text, pos);
    if (!is_case_ignorable(cp)) return before && !is_cased(cp);
  }
  return before;
}

void append_lower(std::string& out, std::string_view text, size_t begin, size_t end, char32_t cp) {
  if (cp == 0x130) {
    out += "i̇";
  } else if (cp == 0x3A3) {
    out += is_final_sigma(text, begin, end) ? "ς" : "σ";
  } else {
    append_code_point(out, simple_lower(cp));
  }
}

}  // namespace

bool valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < n) return false;
    char32_t cp = lead & (0x7Fu >> n);
    for (size_t k = 1; k < n; ++k) {
      const auto c = static_cast<unsigned char>(text[i + k]);
      if ((c & 0xC0) != 0x80) return false;
      cp = cp << 6 | (c & 0x3F);
    }
    if ((n == 3 && cp < 0x800) || (n == 4 && cp < 0x10000) || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) {
      return false;
    }
    i += n;
  }
  return true;
}

size_t count_code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

char32_t next_code_point(std::string_view text, size_t& pos) {
  const auto lead = static_cast<unsigned char>(text[pos++]);
  if (lead < 0x80) return lead;
  size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t cp = lead & (0x3Fu >> more);
  for (; more > 0 && pos < text.size(); --more) cp = cp << 6 | (static_cast<unsigned char>(text[pos++]) & 0x3F);
  return cp;
}

size_t offset_of(std::string_view text, size_t index) {
  size_t pos = 0;
  while (pos < text.size() && index > 0) {
    ++pos;
    while (pos < text.size() && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80) ++pos;
    --index;
  }
  return pos;
}

void append_code_point(std::string& out, char32_t cp) {
  if (cp < 0x80) {
    out += static_cast<char>(cp);
  } else if (cp < 0x800) {
    out += static_cast<char>(0xC0 | cp >> 6);
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    out += static_cast<char>(0xE0 | cp >> 12);
    out += static_cast<char>(0x80 | (cp >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | cp >> 18);
    out += static_cast<char>(0x80 | (cp >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (cp >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  }
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) append_upper(out, next_code_point(text, pos));
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t cp = next_code_point(text, pos);
    append_lower(out, text, begin, pos, cp);
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t cp = next_code_point(text, pos);
    if (begin == 0) {
      append_title(out, cp);
    } else {
      append_lower(out, text, begin, pos, cp);
    }
  }
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t cp = next_code_point(text, pos);
    if (in_word) {
      append_lower(out, text, begin, pos, cp);
    } else {
      append_title(out, cp);
    }
    in_word = is_cased(cp);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t cp = next_code_point(text, pos);
    if (is_upper(cp)) {
      append_lower(out, text, begin, pos, cp);
    } else if (is_lower(cp)) {
      append_upper(out, cp);
    } else {
      append_code_point(out, cp);
    }
  }
  return out;
}

std::string fold_case(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t cp = next_code_point(text, pos);
    utf8proc_int32_t folded[8];
    int last_class = 0;
    const auto n = utf8proc_decompose_char(static_cast<int32_t>(cp), folded, 8, UTF8PROC_CASEFOLD, &last_class);
    if (n <= 0 || n > 8) {
      append_code_point(out, cp);
    }
    for (int k = 0; k < n && n <= 8; ++k) append_code_point(out, static_cast<char32_t>(folded[k]));
  }
  return out;
}

bool is_space(char32_t cp) {
  return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
         (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool is_line_break(char32_t cp) {
  return (cp >= 10 && cp <= 13) || (cp >= 28 && cp <= 30) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

bool is_alpha(char32_t cp) {
  const auto c = category(cp);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t cp) {
  return category(cp) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t cp) {
  return is_decimal(cp) || cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 || (cp >= 0x2074 && cp <= 0x2079) ||
         (cp >= 0x2080 && cp <= 0x2089) || (cp >= 0x2460 && cp <= 0x2468);
}

bool is_numeric(char32_t cp) {
  const auto c = category(cp);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t cp) {
  return category(cp) == UTF8PROC_CATEGORY_LU || (cp >= 0x2160 && cp <= 0x216F) || (cp >= 0x24B6 && cp <= 0x24CF);
}

bool is_lower(char32_t cp) {
  return category(cp) == UTF8PROC_CATEGORY_LL || cp == 0xAA || cp == 0xBA || (cp >= 0x2B0 && cp <= 0x2B8) ||
         (cp >= 0x2170 && cp <= 0x217F) || (cp >= 0x24D0 && cp <= 0x24E9);
}

bool is_title(char32_t cp) {
  return category(cp) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t cp) {
  const auto c = category(cp);
  return cp == ' ' || !(c == UTF8PROC_CATEGORY_CN || (c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_CO));
}

bool is_word(char32_t cp) {
  return cp == '_' || is_alpha(cp) || is_numeric(cp);
}

bool is_identifier(std::string_view text) {
  if (text.empty()) return false;
  for (size_t pos = 0; pos < text.size();) {
    const bool first = pos == 0;
    const char32_t cp = next_code_point(text, pos);
    const auto c = category(cp);
    if (cp == '_' || is_alpha(cp) || c == UTF8PROC_CATEGORY_NL) continue;
    const bool inner = c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC ||
                       c == UTF8PROC_CATEGORY_PC;
    if (first || !inner) return false;
  }
  return true;
}

}  // namespace quern::jinja
