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
    for (uint32_t cp = 0; cp <= kLastCodePoint; cp = code_point_after(cp)) {
      CodePoints& set = made[unicode_category(cp)];
      if (!set.empty() && code_point_after(set.back().last) == cp) {
        set.back().last = cp;
      } else {
        set.push_back({cp, cp});
      }
    }
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

RegexClass ascii_class(CodePoints matched, std::initializer_list<std::string_view> elsewhere, const CodePoints& more) {
  CodePoints any = matched;
  for (const std::string_view name : elsewhere) append(any, category(name));
  append(any, more);
  return {std::move(matched), complement(normalized(std::move(any)))};
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

const RegexClass& regex_class(char letter) {
  static const RegexClass digit = ascii_class({{'0', '9'}}, {"Nd", "Cn"}, {});
  static const RegexClass word =
      ascii_class({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}, {"L", "M", "N", "Pc", "Cn"}, {{0x200C, 0x200D}});
  // U+FEFF is a space to ECMA-262 alone; 0x1C to 0x1F and U+0085 are to others.
  static const RegexClass space = ascii_class({{'\t', '\r'},
                                               {' ', ' '},
                                               {0xA0, 0xA0},
                                               {0x1680, 0x1680},
                                               {0x2000, 0x200A},
                                               {0x2028, 0x2029},
                                               {0x202F, 0x202F},
                                               {0x205F, 0x205F},
                                               {0x3000, 0x3000}},
                                              {}, {{0x1C, 0x1F}, {0x85, 0x85}, {0x180E, 0x180E}, {0xFEFF, 0xFEFF}});
  return letter == 'd' ? digit : letter == 'w' ? word : space;
}

std::optional<RegexClass> regex_property(std::string_view name) {
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
  CodePoints others = complement(set);
  return RegexClass{std::move(set), std::move(others)};
}

}  // namespace quern::grammar
