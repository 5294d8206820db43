#include "chat/lexer.h"

#include <algorithm>
#include <optional>

#include "chat/literals.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

// \r\n and \r become \n; one newline at the end goes.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

size_t skip_space(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t next = pos;
    if (!is_space(next_code_point(text, next))) break;
    pos = next;
  }
  return pos;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    size_t pos = start;
    if (!is_space(next_code_point(text, pos))) break;
    text = text.substr(0, start);
  }
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (pos_ < source_.size() && !error_) root();
    if (error_) return tl::unexpected<Error>(std::move(*error_));
    push(Tok::kEnd);
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] char at(size_t i) const { return i < source_.size() ? source_[i] : '\0'; }
  [[nodiscard]] std::string_view rest() const { return source_.substr(pos_); }

  void fail(std::string_view message) {
    if (!error_) error_ = syntax_error(line_, message).value();
    pos_ = source_.size();
  }

  Token& push(Tok type, std::string text = {}) {
    tokens_.push_back(Token{.type = type, .line = line_, .text = std::move(text)});
    return tokens_.back();
  }

  void advance(size_t to) {
    line_ += static_cast<uint32_t>(
        std::count(source_.begin() + static_cast<long>(pos_), source_.begin() + static_cast<long>(to), '\n'));
    line_starting_ = to > pos_ ? source_[to - 1] == '\n' : false;
    pos_ = to;
  }

  // Emits the text before a tag, stripped as the tag's sign asks.
  void data(std::string_view text, char sign, bool may_lstrip) {
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && may_lstrip) {
      const size_t newline = text.rfind('\n');
      const size_t from = newline == std::string_view::npos ? 0 : newline + 1;
      if ((from > 0 || line_starting_) && skip_space(text, from) == text.size()) text = text.substr(0, from);
    }
    if (!text.empty()) push(Tok::kData, std::string(text));
  }

  // Text up to the next tag, then the tag.
  void root() {
    size_t tag = pos_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos) break;
      const char c = at(tag + 1);
      if (c == '{' || c == '%' || c == '#') break;
      ++tag;
    }
    if (tag == std::string_view::npos) {
      push(Tok::kData, std::string(rest()));
      pos_ = source_.size();
      return;
    }
    const char kind = at(tag + 1);
    const char sign = at(tag + 2) == '-' || at(tag + 2) == '+' ? at(tag + 2) : '\0';
    data(source_.substr(pos_, tag - pos_), sign, kind != '{');
    advance(tag);
    if (kind == '%') {
      if (const auto end = raw_begin(tag)) return raw(*end);
    }
    advance(tag + (sign ? 3 : 2));
    if (kind == '#') return comment();
    push(kind == '{' ? Tok::kVariableBegin : Tok::kBlockBegin);
    inside(kind == '%');
  }

  // The end of "{% raw %}" when it stands at `tag`.
  [[nodiscard]] std::optional<size_t> raw_begin(size_t tag) const {
    size_t i = tag + 2;
    if (at(i) == '-' || at(i) == '+') ++i;
    i = skip_space(source_, i);
    if (source_.substr(i, 3) != "raw") return std::nullopt;
    i = skip_space(source_, i + 3);
    if (source_.substr(i, 3) == "-%}") return skip_space(source_, i + 3);
    if (source_.substr(i, 2) == "%}") return i + 2;
    return std::nullopt;
  }

  // The end of a block tag at `i`, with what its sign or trim_blocks swallows.
  [[nodiscard]] std::optional<size_t> block_end(size_t i, std::string_view close) const {
    if (at(i) == '-' && source_.substr(i + 1, 2) == close) return skip_space(source_, i + 3);
    if (at(i) == '+' && source_.substr(i + 1, 2) == close) return i + 3;
    if (source_.substr(i, 2) != close) return std::nullopt;
    return at(i + 2) == '\n' ? i + 3 : i + 2;
  }

  void raw(size_t body) {
    advance(body);
    for (size_t tag = source_.find("{%", body); tag != std::string_view::npos; tag = source_.find("{%", tag + 1)) {
      size_t i = tag + 2;
      const char sign = at(i) == '-' || at(i) == '+' ? at(i) : '\0';
      i = skip_space(source_, sign ? i + 1 : i);
      if (source_.substr(i, 6) != "endraw") continue;
      const auto end = block_end(skip_space(source_, i + 6), "%}");
      if (!end) continue;
      data(source_.substr(body, tag - body), sign, true);
      return advance(*end);
    }
    fail("Missing end of raw directive");
  }

  void comment() {
    const size_t close = source_.find("#}", pos_);
    if (close == std::string_view::npos) return fail("Missing end of comment tag");
    const bool has_sign = close > pos_ && (at(close - 1) == '-' || at(close - 1) == '+');
    advance(*block_end(has_sign ? close - 1 : close, "#}"));
  }

  // The tokens of a tag up to its end.
  void inside(bool block) {
    brackets_.clear();
    while (pos_ < source_.size()) {
      if (brackets_.empty()) {
        std::optional<size_t> end;
        if (block) {
          end = block_end(pos_, "%}");
        } else if (rest().starts_with("-}}")) {
          end = skip_space(source_, pos_ + 3);
        } else if (rest().starts_with("}}")) {
          end = pos_ + 2;
        }
        if (end) {
          push(block ? Tok::kBlockEnd : Tok::kVariableEnd);
          return advance(*end);
        }
      }
      const size_t after = skip_space(source_, pos_);
      if (after > pos_) {
        advance(after);
      } else {
        token();
      }
    }
  }

  void token() {
    const char c = at(pos_);
    if (c >= '0' && c <= '9') return number();
    if (c == '\'' || c == '"') return string(c);
    size_t end = pos_;
    while (end < source_.size()) {
      size_t next = end;
      if (!is_word(next_code_point(source_, next))) break;
      end = next;
    }
    if (end == pos_) return operation();
    const std::string_view name = source_.substr(pos_, end - pos_);
    if (!is_identifier(name)) return fail("Invalid character in identifier");
    push(Tok::kName, std::string(name));
    advance(end);
  }

  void number() {
    const NumberLiteral literal = read_number(source_, pos_);
    if (literal.too_large) return fail("the integer does not fit 64 bits");
    Token& t = push(literal.is_float ? Tok::kFloat : Tok::kInteger, std::string(source_.substr(pos_, literal.size)));
    t.integer = literal.integer;
    t.real = literal.real;
    advance(pos_ + literal.size);
  }

  void string(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return fail("unexpected char: the string has no end");
    std::string value;
    const std::string_view problem = unescape(source_.substr(pos_ + 1, end - pos_ - 1), value);
    if (!problem.empty()) return fail(problem);
    push(Tok::kString, std::move(value));
    advance(end + 1);
  }

  void operation() {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                               "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view op : kOperators) {
      if (!rest().starts_with(op)) continue;
      const char c = op.front();
      if (c == '(' || c == '[' || c == '{') brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (brackets_.empty() || brackets_.back() != c) return fail(fmt::format("unexpected '{}'", c));
        brackets_.pop_back();
      }
      push(Tok::kOperator, std::string(op));
      return advance(pos_ + op.size());
    }
    size_t next = pos_;
    next_code_point(source_, next);
    fail(fmt::format("unexpected char '{}'", source_.substr(pos_, next - pos_)));
  }

  std::string_view source_;
  size_t pos_ = 0;
  uint32_t line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  // the closers waited for
  std::vector<Token> tokens_;
  std::optional<Error> error_;
};

}  // namespace

tl::unexpected<Error> syntax_error(uint32_t line, std::string_view message) {
  return fail_f(ErrorCode::kCorrupt, "template line {}: TemplateSyntaxError: {}", line, message);
}

Result<std::vector<Token>> tokenize(std::string_view source) {
  const std::string text = normalize(source);
  return Lexer(text).run();
}

}  // namespace quern::jinja
