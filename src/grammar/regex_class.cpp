#include "grammar/regex_class.h"

#include <array>
#include <map>
#include <string>

#include "text/unicode.h"

namespace quern::grammar {
namespace {

// By category of two letters.
const std::map<std::string, CodePoints, std::less<>>& categories() {
  static const auto table = [] {
    std::map<std::string, CodePoints, std::less<>> made;
    const char* category = unicode_category(0);
    uint32_t first = 0, last = 0;
    for (uint32_t cp = 1; cp <= kLastCodePoint; cp = code_point_after(cp)) {
      const char* next = unicode_category(cp);
      if (next != category) {
        made[category].push_back({first, last});
        category = next;
        first = cp;
      }
      last = cp;
    }
    made[category].push_back({first, last});
    return made;
  }();
  return table;
}

// `prefix`: a category, or the one letter that several begin with.
CodePoints category(std::string_view prefix) {
  CodePoints set;
  for (const auto& [name, points] : categories()) {
    if (std::string_view(name).starts_with(prefix)) append(set, points);
  }
  return normalized(std::move(set));
}

// What is neither in the set nor in one of the categories: those that other dialects count to it, and Cn, of which a
// later Unicode may.
CodePoints outside(CodePoints set, std::initializer_list<std::string_view> elsewhere) {
  for (const std::string_view name : elsewhere) append(set, category(name));
  return complement(normalized(std::move(set)));
}

// A long name of UCD's PropertyValueAliases.txt for each category that has one.
constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
    {"Letter", "L"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Format", "Cf"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
};

}  // namespace

const CodePoints& regex_class(char letter) {
  static const CodePoints digit = {{'0', '9'}};
  static const CodePoints word = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  static const CodePoints space = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},
                                   {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                                   {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  switch (letter) {
    case 'd':
      return digit;
    case 'w':
      return word;
    case 's':
      return space;
    case 'D': {
      static const CodePoints not_digit = outside(digit, {"Nd", "Cn"});
      return not_digit;
    }
    case 'W': {
      static const CodePoints joined = {{0x200C, 0x200D}};
      static const CodePoints not_word = difference(outside(word, {"L", "M", "N", "Pc", "Cn"}), joined);
      return not_word;
    }
    default: {
      // U+FEFF is a space to ECMA-262 alone; 0x1C to 0x1F, U+0085 and U+180E are to others.
      static const CodePoints elsewhere = {{0x1C, 0x1F}, {0x85, 0x85}, {0x180E, 0x180E}, {0xFEFF, 0xFEFF}};
      static const CodePoints not_space = difference(complement(space), elsewhere);
      return not_space;
    }
  }
}

std::optional<CodePoints> regex_property(std::string_view name) {
  for (const std::string_view property : {"gc=", "General_Category="}) {
    if (name.starts_with(property)) name.remove_prefix(property.size());
  }
  CodePoints set;
  if (name == "Any" || name == "ASCII") {
    set = {{0, name == "Any" ? kLastCodePoint : 0x7F}};
  } else if (name == "LC" || name == "Cased_Letter") {
    for (const std::string_view cased : {"Lu", "Ll", "Lt"}) append(set, category(cased));
    set = normalized(std::move(set));
  } else {
    for (const auto& [full, brief] : kLongNames) {
      if (name == full) name = brief;
    }
    if (name.empty() || name.size() > 2) return std::nullopt;
    set = category(name);
    if (set.empty()) return std::nullopt;
  }
  return set;
}

}  // namespace quern::grammar
