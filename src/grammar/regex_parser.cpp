#include "grammar/regex_parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "grammar/regex_class.h"
#include "text/utf8.h"

namespace quern::grammar {
namespace {

constexpr unsigned kMaxDepth = 100;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

const CodePoints kNotLineEnds = complement({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {}

  Result<RegexTree> run() {
    if (text_.size() > kMaxPatternBytes) {
      return fail_f(ErrorCode::kResource, "a pattern of {} bytes: {} are the most", text_.size(), kMaxPatternBytes);
    }
    for (size_t pos = 0; pos < text_.size();) {
      const Utf8Char c = utf8_decode(text_, pos);
      if (!c.valid) return fail_f(ErrorCode::kInvalidArgument, "pattern, at byte {}: not UTF-8", pos);
      pos += c.len;
    }
    QUERN_TRY(tree_.root, choice(0));
    if (pos_ < text_.size()) return malformed(pos_, "')' without '('");
    return std::move(tree_);
  }

 private:
  using Kind = RegexNode::Kind;
  // A character, which a range of a class may begin or end with, or a set.
  struct ClassItem {
    std::optional<uint32_t> cp;
    CodePoints set;
    char letter = 0;  // of the named class that the set is
  };

  static tl::unexpected<Error> malformed(size_t at, std::string_view what) {
    return fail_f(ErrorCode::kInvalidArgument, "pattern, at byte {}: {}", at, what);
  }
  static tl::unexpected<Error> unsupported(size_t at, std::string_view what) {
    return fail_f(ErrorCode::kUnsupported, "pattern, at byte {}: {} is not supported", at, what);
  }

  [[nodiscard]] char peek(size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0'; }
  [[nodiscard]] bool at_end() const { return pos_ >= text_.size(); }
  bool take(std::string_view what) {
    if (!text_.substr(pos_).starts_with(what)) return false;
    pos_ += what.size();
    return true;
  }
  uint32_t take_character() {
    const Utf8Char c = utf8_decode(text_, pos_);
    pos_ += c.len;
    return c.cp;
  }

  uint32_t node(RegexNode made) {
    tree_.nodes.push_back(std::move(made));
    return static_cast<uint32_t>(tree_.nodes.size() - 1);
  }
  uint32_t set_node(CodePoints set) {
    const auto [at, fresh] = set_numbers_.try_emplace(std::move(set), static_cast<uint32_t>(tree_.sets.size()));
    if (fresh) tree_.sets.push_back(at->first);
    return node({.kind = Kind::kSet, .set = at->second});
  }

  Result<uint32_t> choice(unsigned depth) {
    if (depth > kMaxDepth) return fail_f(ErrorCode::kResource, "pattern, at byte {}: groups nest too deep", pos_);
    std::vector<uint32_t> parts;
    do {
      QUERN_TRY(const uint32_t part, sequence(depth));
      parts.push_back(part);
    } while (take("|"));
    return parts.size() == 1 ? parts[0] : node({.kind = Kind::kChoice, .parts = std::move(parts)});
  }

  Result<uint32_t> sequence(unsigned depth) {
    std::vector<uint32_t> parts;
    while (!at_end() && peek() != '|' && peek() != ')') {
      QUERN_TRY(const uint32_t part, term(depth));
      parts.push_back(part);
    }
    return parts.size() == 1 ? parts[0] : node({.kind = Kind::kSequence, .parts = std::move(parts)});
  }

  Result<uint32_t> term(unsigned depth) {
    if (take("^")) return node({.kind = Kind::kBegin});
    if (take("$")) return node({.kind = Kind::kEnd});
    QUERN_TRY(const uint32_t part, atom(depth));
    const size_t at = pos_;
    uint32_t least = 0, most = RegexNode::kUnbounded;
    if (take("?")) {
      most = 1;
    } else if (take("+")) {
      least = 1;
    } else if (!take("*") && !take_bounds(least, most)) {
      return part;
    }
    if (most < least) return malformed(at, "the bounds of a repetition are out of order");
    take("?");  // lazy: the same texts match
    return node({.kind = Kind::kRepeat, .least = least, .most = most, .parts = {part}});
  }

  // {2} {2,} {2,4}; anything else stays where it is and is read as characters.
  bool take_bounds(uint32_t& least, uint32_t& most) {
    const size_t begin = pos_;
    if (take("{") && take_number(least)) {
      most = least;
      if (take(",") && !take_number(most)) most = RegexNode::kUnbounded;
      if (take("}")) return true;
    }
    pos_ = begin;
    return false;
  }

  // Larger ones than any automaton can count to are cut.
  bool take_number(uint32_t& value) {
    if (!is_digit(peek())) return false;
    value = 0;
    for (; is_digit(peek()); ++pos_) {
      value = std::min<uint32_t>(value * 10 + static_cast<uint32_t>(peek() - '0'), 100'000'000);
    }
    return true;
  }

  Result<uint32_t> atom(unsigned depth) {
    const size_t at = pos_;
    switch (peek()) {
      case '(':
        return group(depth);
      case '[':
        ++pos_;
        return character_class(at);
      case '.':
        ++pos_;
        return set_node(kNotLineEnds);
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        return malformed(at, "nothing to repeat");
      case '{': {
        uint32_t least = 0, most = 0;
        if (take_bounds(least, most)) return malformed(at, "nothing to repeat");
        break;
      }
      default:
        break;
    }
    const uint32_t cp = take_character();
    return set_node({{cp, cp}});
  }

  Result<uint32_t> group(unsigned depth) {
    const size_t at = pos_++;
    if (peek() == '?' && !take("?:")) {
      ++pos_;
      if (take("=") || take("!") || take("<=") || take("<!")) return unsupported(at, "look-around, (?= (?! (?<= (?<!,");
      const size_t name_end = text_.find('>', pos_);
      if (!take("<") || peek() == '>' || name_end == std::string_view::npos) {
        return unsupported(at, "a group that begins so: ( (?: and (?<name> are; another");
      }
      pos_ = name_end + 1;
    }
    QUERN_TRY(const uint32_t inside, choice(depth + 1));
    if (!take(")")) return malformed(at, "'(' without ')'");
    return inside;
  }

  // Outside a class, at '\'.
  Result<uint32_t> escape() {
    const size_t at = pos_;
    const char c = peek(1);
    if (c == 'b' || c == 'B') return unsupported(at, "\\b, a word boundary,");
    if ((c >= '1' && c <= '9') || c == 'k') return unsupported(at, "a back reference");
    QUERN_TRY(const ClassItem item, class_escape());
    if (item.cp) return set_node(normalized({{*item.cp, *item.cp}}));
    return set_node(item.set);
  }

  // What inside and outside a class means the same.
  Result<ClassItem> class_escape() {
    const size_t at = pos_++;
    const char c = peek();
    switch (c) {
      case 'd':
      case 'D':
      case 'w':
      case 'W':
      case 's':
      case 'S':
        ++pos_;
        return ClassItem{std::nullopt, regex_class(c), c};
      case 'p':
      case 'P':
        return property(at);
      default:
        break;
    }
    QUERN_TRY(const uint32_t cp, character_escape(at));
    return ClassItem{cp, {}, 0};
  }

  Result<ClassItem> property(size_t at) {
    const bool negated = peek() == 'P';
    ++pos_;
    const size_t end = text_.find('}', pos_);
    if (peek() != '{' || end == std::string_view::npos) return malformed(at, "\\p without {..}");
    const std::string_view name = text_.substr(pos_ + 1, end - pos_ - 1);
    pos_ = end + 1;
    const auto [known, fresh] = properties_.try_emplace(name);
    if (fresh) known->second = regex_property(name);
    const std::optional<CodePoints>& set = known->second;
    if (!set) return unsupported(at, fmt::format("\\p{{{}}}: general categories are; it", name));
    return ClassItem{std::nullopt, negated ? complement(*set) : *set, 0};
  }

  // Behind '\', which is at `at`.
  Result<uint32_t> character_escape(size_t at) {
    if (at_end()) return malformed(at, "'\\' at the end");
    const char c = text_[pos_++];
    switch (c) {
      case 't':
        return uint32_t{'\t'};
      case 'n':
        return uint32_t{'\n'};
      case 'v':
        return uint32_t{'\v'};
      case 'f':
        return uint32_t{'\f'};
      case 'r':
        return uint32_t{'\r'};
      case '0':
        if (is_digit(peek())) return malformed(at, "an octal escape");
        return uint32_t{0};
      case 'c':
        if (!is_letter(peek())) return malformed(at, "\\c without a letter");
        return static_cast<uint32_t>(text_[pos_++]) & 31u;
      case 'x':
        return hex_digits(at, 2);
      case 'u':
        return unicode_escape(at);
      default:
        break;
    }
    const bool sign = c > ' ' && c < 0x7F && !is_digit(c) && !is_letter(c);
    if (!sign && c != ' ') return malformed(at, "an escape that ECMA-262 does not know");
    return static_cast<uint32_t>(c);
  }

  Result<uint32_t> hex_digits(size_t at, size_t n) {
    uint32_t value = 0;
    for (size_t i = 0; i < n; ++i, ++pos_) {
      const int digit = hex_value(peek());
      if (digit < 0) return malformed(at, "an escape with too few hexadecimal digits");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    return value;
  }

  // \uHHHH, two of them that are a surrogate pair, \u{H..}.
  Result<uint32_t> unicode_escape(size_t at) {
    if (take("{")) {
      uint32_t value = 0;
      const size_t begin = pos_;
      for (; hex_value(peek()) >= 0; ++pos_) {
        value = std::min<uint32_t>(value * 16 + static_cast<uint32_t>(hex_value(peek())), kLastCodePoint + 1);
      }
      if (pos_ == begin || !take("}")) return malformed(at, "\\u{ without hexadecimal digits and }");
      if (value > kLastCodePoint) return malformed(at, "a code point beyond 10FFFF");
      return value;
    }
    QUERN_TRY(const uint32_t first, hex_digits(at, 4));
    if (first < 0xD800 || first > 0xDBFF || peek() != '\\' || peek(1) != 'u' || peek(2) == '{') return first;
    const size_t behind = pos_;
    pos_ += 2;
    QUERN_TRY(const uint32_t second, hex_digits(at, 4));
    if (second >= 0xDC00 && second <= 0xDFFF) return 0x10000 + ((first - 0xD800) << 10 | (second - 0xDC00));
    pos_ = behind;
    return first;
  }

  // Behind '[', which is at `at`.
  Result<uint32_t> character_class(size_t at) {
    const bool negated = take("^");
    CodePoints held;
    std::set<std::string_view> named;
    while (!take("]")) {
      if (at_end()) return malformed(at, "'[' without ']'");
      QUERN_CHECK_OK(class_range(negated, held, named));
    }
    held = normalized(std::move(held));
    return set_node(negated ? complement(held) : std::move(held));
  }

  // An item of a class or a range. A '-' beside a set or at the end is itself. The sets in `named` are held already.
  Status class_range(bool negated, CodePoints& held, std::set<std::string_view>& named) {
    const size_t at = pos_;
    QUERN_TRY(const ClassItem first, class_item());
    if (!first.cp) {
      if (!named.insert(text_.substr(at, pos_ - at)).second) return {};
      const bool counterpart = negated && first.letter != 0;
      append(held, counterpart ? complement(regex_class(static_cast<char>(first.letter ^ ' '))) : first.set);
      return {};
    }
    uint32_t last = *first.cp;
    if (peek() == '-' && peek(1) != ']' && pos_ + 1 < text_.size()) {
      const size_t dash = pos_++;
      QUERN_TRY(const ClassItem second, class_item());
      if (!second.cp) pos_ = dash;
      last = second.cp.value_or(last);
    }
    if (last < *first.cp) return malformed(at, "the ends of a range are out of order");
    held.push_back({*first.cp, last});
    return {};
  }

  Result<ClassItem> class_item() {
    if (peek() != '\\') return ClassItem{take_character(), {}, 0};
    if (peek(1) == 'b') {
      pos_ += 2;
      return ClassItem{uint32_t{'\b'}, {}, 0};
    }
    return class_escape();
  }

  std::string_view text_;
  size_t pos_ = 0;
  RegexTree tree_;
  std::map<CodePoints, uint32_t> set_numbers_;
  std::map<std::string_view, std::optional<CodePoints>> properties_;  // by name, as far as they were asked for
};

}  // namespace

Result<RegexTree> parse_regex(std::string_view pattern) {
  return Parser(pattern).run();
}

}  // namespace quern::grammar
