// Parser: the state shared by the two halves of the parser (expressions, statements). Private to parser*.cpp.
//
// Errors are sticky: the first is kept, the stream then stands at its end, and every loop ends there.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "chat/ast.h"
#include "chat/lexer.h"
#include "chat/limits.h"

namespace quern::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, Tree& tree, const TemplateLimits& limits)
      : tokens_(std::move(tokens)), tree_(tree), limits_(limits) {}

  Status run();

 private:
  using Words = std::initializer_list<std::string_view>;
  struct TupleRule {
    bool simplified = false;  // names and literals only
    bool with_condition = true;
    bool explicit_parentheses = false;
    bool with_namespace = false;
    std::string_view end_word = {};
  };
  // A filter or test that does not exist: an error at once, unless it stands in a branch that may never run.
  struct Unknown {
    uint32_t line;
    std::string message;
    bool hard;
  };

  // Guards native recursion.
  struct Nest {
    explicit Nest(Parser& parser) : p(parser) {
      if (++p.nesting_ > p.limits_.max_nesting) p.refuse("max_nesting");
    }
    ~Nest() { --p.nesting_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    Parser& p;
  };

  // The stream.
  [[nodiscard]] const Token& current() const { return tokens_[at_]; }
  [[nodiscard]] const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  [[nodiscard]] bool is_op(std::string_view op) const { return is_op(current(), op); }
  [[nodiscard]] bool is_word(std::string_view word) const { return is_word(current(), word); }
  [[nodiscard]] static bool is_op(const Token& t, std::string_view op) {
    return t.type == Tok::kOperator && t.text == op;
  }
  [[nodiscard]] static bool is_word(const Token& t, std::string_view word) {
    return t.type == Tok::kName && t.text == word;
  }
  void advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool skip_op(std::string_view op);
  bool skip_word(std::string_view word);
  void expect_op(std::string_view op);
  void expect_word(std::string_view word);
  void expect(Tok type, std::string_view what);
  std::string expect_name();
  void fail(std::string_view message, uint32_t line = 0);
  void refuse(std::string_view limit);
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] std::string describe() const;

  // Nodes.
  Expr* make(ExprKind kind, uint32_t line, std::vector<Expr*> items = {});
  Stmt* make(StmtKind kind, uint32_t line);
  Expr* constant(uint32_t line, Value value);
  Value text_constant(std::string text);
  void settle_unknown(size_t from, bool forgive);

  // Expressions (parser_expr.cpp).
  Expr* expression(bool with_condition = true);
  Expr* condition();
  Expr* disjunction();
  Expr* conjunction();
  Expr* negation();
  Expr* comparison();
  Expr* sum();
  Expr* concatenation();
  Expr* product();
  Expr* power();
  Expr* unary(bool with_filter = true);
  Expr* primary(bool with_namespace = false);
  Expr* word(bool with_namespace);
  Expr* tuple(const TupleRule& rule);
  Expr* list();
  Expr* dict();
  Expr* postfix(Expr* node);
  Expr* filters_and_tests(Expr* node);
  Expr* subscript(Expr* node);
  Expr* slice_or_index(Expr* node, uint32_t line);
  Expr* call(Expr* node);
  Expr* filter_chain(Expr* node, bool inline_first);
  Expr* test(Expr* node);
  void call_args(CallArgs& args);
  std::string dotted_name();

  // Statements (parser.cpp).
  Body statements(Words end_words, bool drop_end);
  Body block(Words end_words);
  Stmt* statement();
  Stmt* for_loop();
  Stmt* if_chain();
  Stmt* set();
  Stmt* macro();
  Stmt* call_block();
  Stmt* filter_block();
  Stmt* with();
  Stmt* named_block();
  Stmt* autoescape();
  Stmt* generation();
  Stmt* jump(StmtKind kind);
  void print(Body& body);
  void signature(MacroNode& node);
  void macro_body(MacroNode& node, Words end_words);
  Body own_frame(Words end_words);
  Expr* target(const TupleRule& rule);
  bool assignable(const Expr* e);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Tree& tree_;
  TemplateLimits limits_;
  size_t nesting_ = 0;
  size_t loops_ = 0;  // around the place, inside the innermost macro
  std::vector<MacroNode*> macros_;
  std::vector<std::string> blocks_;
  std::vector<Unknown> unknown_;
  std::optional<Error> error_;
};

}  // namespace quern::jinja
