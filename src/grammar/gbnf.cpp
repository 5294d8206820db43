#include "grammar/gbnf.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "text/utf8.h"

namespace quern::grammar {

namespace {

constexpr size_t kMaxSourceBytes = 4 << 20;
constexpr unsigned kMaxDepth = 200;
constexpr size_t kMaxRepetitions = 100'000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

bool is_line_end(char c) {
  return c == '\n' || c == '\r';
}

// Recursive descent over the source; rules go to the builder as they are read.
class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {
    if (source.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  Result<Ir> read() {
    if (source_.size() > kMaxSourceBytes) {
      return fail_f(ErrorCode::kResource, "the grammar has {} bytes, more than {}", source_.size(), kMaxSourceBytes);
    }
    skip_space(true);
    while (!at_end()) QUERN_CHECK_OK(read_rule());
    QUERN_CHECK_OK(check_defined());
    const auto root = rules_.find("root");
    if (root == rules_.end()) {
      return fail(ErrorCode::kInvalidArgument, "the grammar has no rule \"root\", where a text begins");
    }
    return to_.finish(root->second.symbol);
  }

 private:
  using Sequence = IrBuilder::Sequence;
  struct Rule {
    Symbol symbol;
    size_t seen = 0;  // where it was first named
    bool defined = false;
  };

  [[nodiscard]] bool at_end() const { return at_ == source_.size(); }
  [[nodiscard]] char peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  [[nodiscard]] bool next_is(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  // What stands at the current place, for a message.
  [[nodiscard]] std::string found() const {
    if (at_end()) return "the end";
    if (is_line_end(peek())) return "the end of the line";
    const Utf8Char c = utf8_decode(source_, at_);
    if (!c.valid || c.cp < 0x20) return fmt::format("the byte 0x{:02X}", static_cast<uint8_t>(peek()));
    return fmt::format("\"{}\"", source_.substr(at_, c.len));
  }

  [[nodiscard]] tl::unexpected<Error> wrong(std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const {
    const std::string_view before = source_.substr(0, at_);
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == '\n' || (before[i] == '\r' && (i + 1 == source_.size() || source_[i + 1] != '\n'))) {
        ++line;
        begin = i + 1;
      }
    }
    size_t column = 1;
    for (size_t i = begin; i < before.size(); i += utf8_decode(before, i).len) ++column;
    return fail_f(code, "line {}, column {}: {}", line, column, what);
  }

  void skip_space(bool lines) {
    while (!at_end()) {
      if (peek() == '#') {
        while (!at_end() && !is_line_end(peek())) ++at_;
      } else if (peek() == ' ' || peek() == '\t' || (lines && is_line_end(peek()))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view take_name() {
    const size_t first = at_;
    while (!at_end() && is_name(peek())) ++at_;
    return source_.substr(first, at_ - first);
  }

  Rule& named(std::string_view name, size_t at) {
    auto found = rules_.find(name);
    if (found == rules_.end()) {
      found = rules_.emplace(name, Rule{.symbol = to_.rule(), .seen = at}).first;
      to_.name(found->second.symbol, name);
    }
    return found->second;
  }

  // The first name that no rule has is told.
  Status check_defined() {
    size_t first = source_.size();
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) first = std::min(first, rule.seen);
    }
    if (first == source_.size()) return {};
    at_ = first;
    const std::string_view name = take_name();
    at_ = first;
    return wrong(fmt::format("the rule \"{}\" is not defined", name));
  }

  Status read_rule() {
    const size_t begin = at_;
    const std::string_view name = take_name();
    if (name.empty()) return wrong(fmt::format("expected the name of a rule, found {}", found()));
    Rule& rule = named(name, begin);
    if (rule.defined) {
      at_ = begin;
      return wrong(fmt::format("the rule \"{}\" is defined twice", name));
    }
    rule.defined = true;
    skip_space(false);
    if (!next_is("::=")) return wrong(fmt::format("expected ::= after \"{}\", found {}", name, found()));
    at_ += 3;
    skip_space(true);
    const Symbol symbol = rule.symbol;
    QUERN_TRY(const auto alternatives, read_alternatives(false));
    for (const Sequence& alternative : alternatives) to_.add(symbol, alternative);
    if (!at_end() && !is_line_end(peek())) {
      return wrong(fmt::format("expected an item, | or the end of the line, found {}", found()));
    }
    skip_space(true);
    return {};
  }

  Result<std::vector<Sequence>> read_alternatives(bool nested) {
    std::vector<Sequence> all;
    while (true) {
      QUERN_TRY(Sequence sequence, read_sequence(nested));
      all.push_back(std::move(sequence));
      const size_t end = at_;
      skip_space(true);  // a line may begin with |
      if (peek() != '|') {
        at_ = end;
        return all;
      }
      ++at_;
      skip_space(true);
    }
  }

  Result<Sequence> read_sequence(bool nested) {
    Sequence sequence;
    while (!at_end() && peek() != '|' && peek() != ')' && !is_line_end(peek())) {
      if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
        if (sequence.empty()) return wrong(fmt::format("{} stands behind nothing that it could repeat", found()));
        QUERN_TRY(sequence.back(), read_repetition(sequence.back(), nested));
      } else {
        QUERN_TRY(const Symbol item, read_item());
        sequence.push_back(item);
      }
      skip_space(nested);
    }
    return sequence;
  }

  Result<Symbol> read_item() {
    switch (peek()) {
      case '"':
        return read_literal();
      case '[':
        return read_class();
      case '(':
        return read_group();
      case '<':
        return read_token();
      case '.':
        ++at_;
        return any_character();
      case '!':
        return wrong("negated tokens, !<...>, are not supported", ErrorCode::kUnsupported);
      default:
        break;
    }
    const size_t begin = at_;
    const std::string_view name = take_name();
    if (!name.empty()) return named(name, begin).symbol;
    return wrong(fmt::format("expected an item, found {}", found()));
  }

  Result<Symbol> read_group() {
    const size_t begin = at_++;
    if (depth_ == kMaxDepth) {
      at_ = begin;
      return wrong(fmt::format("groups are nested deeper than {}", kMaxDepth), ErrorCode::kResource);
    }
    ++depth_;
    skip_space(true);
    QUERN_TRY(const auto alternatives, read_alternatives(true));
    --depth_;
    if (peek() != ')') {
      if (!at_end()) return wrong(fmt::format("expected an item, | or ), found {}", found()));
      at_ = begin;
      return wrong("the group that begins here is not closed");
    }
    ++at_;
    std::vector<Symbol> choices;
    for (const Sequence& alternative : alternatives) choices.push_back(to_.sequence(alternative));
    return to_.choice(choices);
  }

  Result<Symbol> read_repetition(Symbol item, bool nested) {
    const size_t begin = at_;
    switch (source_[at_++]) {
      case '*':
        return to_.repeat(item, 0, IrBuilder::kUnbounded);
      case '+':
        return to_.repeat(item, 1, IrBuilder::kUnbounded);
      case '?':
        return to_.optional(item);
      default:
        break;
    }
    skip_space(nested);
    QUERN_TRY(const size_t least, read_count());
    skip_space(nested);
    size_t most = least;
    if (peek() == ',') {
      ++at_;
      skip_space(nested);
      most = IrBuilder::kUnbounded;
      if (is_digit(peek())) {
        QUERN_TRY(most, read_count());
        skip_space(nested);
      }
    }
    if (peek() != '}') return wrong(fmt::format("expected }} at the end of a repetition, found {}", found()));
    ++at_;
    if (most < least) {
      at_ = begin;
      return wrong(fmt::format("the repetition {{{},{}}} ends before it begins", least, most));
    }
    return to_.repeat(item, least, most);
  }

  Result<size_t> read_count() {
    const size_t begin = at_;
    size_t count = 0;
    for (; is_digit(peek()); ++at_)
      count = std::min(count * 10 + static_cast<size_t>(peek() - '0'), kMaxRepetitions + 1);
    if (at_ == begin) return wrong(fmt::format("expected a number of repetitions, found {}", found()));
    if (count <= kMaxRepetitions) return count;
    at_ = begin;
    return wrong(fmt::format("more than {} repetitions", kMaxRepetitions), ErrorCode::kResource);
  }

  Result<Symbol> read_literal() {
    const size_t begin = at_++;
    std::string text;
    while (peek() != '"') {
      if (at_end()) {
        at_ = begin;
        return wrong("the literal that begins here is not closed");
      }
      const size_t place = at_;
      QUERN_TRY(const uint32_t cp, read_character());
      if (cp >= 0xD800 && cp <= 0xDFFF) {
        at_ = place;
        return wrong(fmt::format("U+{:04X} is half of a character: write \\UXXXXXXXX", cp));
      }
      utf8_append(text, cp);
    }
    ++at_;
    return to_.literal(text);
  }

  // The same class, written the same way, is made once.
  Result<Symbol> read_class() {
    const size_t begin = at_++;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    std::vector<IrBuilder::Range> ranges;
    while (peek() != ']') {
      if (at_end()) {
        at_ = begin;
        return wrong("the class that begins here is not closed");
      }
      const size_t place = at_;
      QUERN_TRY(const uint32_t first, read_character());
      uint32_t last = first;
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < source_.size()) {
        ++at_;
        QUERN_TRY(last, read_character());
      }
      if (last < first) {
        at_ = place;
        return wrong(fmt::format("the range from U+{:04X} to U+{:04X} ends before it begins", first, last));
      }
      ranges.push_back({first, last});
    }
    ++at_;
    const std::string_view written = source_.substr(begin, at_ - begin);
    if (ranges.empty()) {
      at_ = begin;
      return wrong(fmt::format("the class {} is empty", written));
    }
    const auto known = classes_.find(written);
    if (known != classes_.end()) return known->second;
    return classes_.emplace(written, to_.characters(ranges, negated)).first->second;
  }

  Symbol any_character() {
    const auto known = classes_.find(".");
    if (known != classes_.end()) return known->second;
    return classes_.emplace(".", to_.characters({}, true)).first->second;
  }

  // One character of a literal or class: an escape, or itself.
  Result<uint32_t> read_character() {
    if (peek() != '\\') {
      const Utf8Char c = utf8_decode(source_, at_);
      if (!c.valid) return wrong(fmt::format("{} is not UTF-8", found()));
      at_ += c.len;
      return c.cp;
    }
    const char kind = peek(1);
    switch (kind) {
      case 'x':
        return read_hex(2);
      case 'u':
        return read_hex(4);
      case 'U':
        return read_hex(8);
      case 't':
        at_ += 2;
        return uint32_t{'\t'};
      case 'r':
        at_ += 2;
        return uint32_t{'\r'};
      case 'n':
        at_ += 2;
        return uint32_t{'\n'};
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        at_ += 2;
        return static_cast<uint32_t>(kind);
      default:
        return wrong("an unknown escape: there are \\t \\r \\n \\\\ \\\" \\[ \\] \\- \\^ \\xXX \\uXXXX \\UXXXXXXXX");
    }
  }

  Result<uint32_t> read_hex(unsigned n_digits) {
    const std::string_view digits = source_.substr(std::min(at_ + 2, source_.size())).substr(0, n_digits);
    uint32_t value = 0;
    size_t n_read = 0;
    for (const char c : digits) {
      const char lower = static_cast<char>(c | 0x20);
      if (!is_digit(c) && (lower < 'a' || lower > 'f')) break;
      value = value << 4 | static_cast<uint32_t>(is_digit(c) ? c - '0' : lower - 'a' + 10);
      ++n_read;
    }
    if (n_read < n_digits) return wrong(fmt::format("\\{} takes {} hexadecimal digits", source_[at_ + 1], n_digits));
    if (value > 0x10FFFF) return wrong(fmt::format("U+{:X} is beyond the last character, U+10FFFF", value));
    at_ += 2 + n_digits;
    return value;
  }

  Result<Symbol> read_token() {
    if (peek(1) == '[')
      return wrong("token ids, <[...]>, are not supported: write the token's text, as <think>",
                   ErrorCode::kUnsupported);
    const std::string_view rest = source_.substr(at_);
    const size_t end = rest.find_first_of(">\r\n");
    if (end == std::string_view::npos || rest[end] != '>')
      return wrong("the token that begins here is not closed by >");
    const std::string_view text = rest.substr(0, end + 1);
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = utf8_decode(text, i);
      if (!c.valid) {
        at_ += i;
        return wrong(fmt::format("{} is not UTF-8", found()));
      }
      i += c.len;
    }
    if (text == "<>") return wrong("the token <> has no name");
    at_ += text.size();
    return to_.special(text);
  }

  std::string_view source_;
  size_t at_ = 0;
  unsigned depth_ = 0;
  IrBuilder to_;
  std::map<std::string, Rule, std::less<>> rules_;
  std::map<std::string, Symbol, std::less<>> classes_;
};

}  // namespace

Result<Ir> read_gbnf(std::string_view source) {
  return Reader(source).read();
}

}  // namespace quern::grammar
