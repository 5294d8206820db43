// The stream, the statements.
#include "chat/parser.h"

#include <algorithm>

#include "chat/parser_impl.h"

namespace quern::jinja {

bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  advance();
  return true;
}

bool Parser::skip_word(std::string_view word) {
  if (!is_word(word)) return false;
  advance();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(fmt::format("expected token '{}', got {}", op, describe()));
}

void Parser::expect_word(std::string_view word) {
  if (!skip_word(word)) fail(fmt::format("expected token '{}', got {}", word, describe()));
}

void Parser::expect(Tok type, std::string_view what) {
  if (current().type == type) {
    advance();
  } else {
    fail(fmt::format("expected {}, got {}", what, describe()));
  }
}

std::string Parser::expect_name() {
  if (current().type != Tok::kName) {
    fail(fmt::format("expected a name, got {}", describe()));
    return {};
  }
  std::string name = current().text;
  advance();
  return name;
}

std::string Parser::describe() const {
  switch (current().type) {
    case Tok::kEnd:
      return "the end of the template";
    case Tok::kData:
      return "text";
    case Tok::kVariableBegin:
      return "'{{'";
    case Tok::kVariableEnd:
      return "'}}'";
    case Tok::kBlockBegin:
      return "'{%'";
    case Tok::kBlockEnd:
      return "'%}'";
    default:
      return fmt::format("'{}'", current().text);
  }
}

void Parser::fail(std::string_view message, uint32_t line) {
  if (!error_) error_ = syntax_error(line ? line : current().line, message).value();
  at_ = tokens_.size() - 1;
}

void Parser::refuse(std::string_view limit) {
  if (!error_) {
    error_ =
        Error{ErrorCode::kResource, fmt::format("template line {}: the limit {} is used up", current().line, limit)};
  }
  at_ = tokens_.size() - 1;
}

Expr* Parser::make(ExprKind kind, uint32_t line, std::vector<Expr*> items) {
  if (tree_.exprs.size() + tree_.stmts.size() >= limits_.max_nodes) refuse("max_nodes");
  Expr& e = tree_.exprs.emplace_back();
  e.kind = kind;
  e.line = line;
  e.items = std::move(items);
  return &e;
}

Stmt* Parser::make(StmtKind kind, uint32_t line) {
  if (tree_.exprs.size() + tree_.stmts.size() >= limits_.max_nodes) refuse("max_nodes");
  Stmt& s = tree_.stmts.emplace_back();
  s.kind = kind;
  s.line = line;
  return &s;
}

Expr* Parser::constant(uint32_t line, Value value) {
  Expr* e = make(ExprKind::kConst, line);
  e->constant = value;
  return e;
}

Value Parser::text_constant(std::string text) {
  return {Kind::kString, tree_.heap.make<StringObject>(0, std::move(text), false)};
}

// Jinja2 knows an unknown filter when it compiles, but leaves one directly inside a branch to the run.
void Parser::settle_unknown(size_t from, bool forgive) {
  if (forgive) {
    const auto begin = unknown_.begin() + static_cast<long>(std::min(from, unknown_.size()));
    unknown_.erase(std::remove_if(begin, unknown_.end(), [](const Unknown& u) { return !u.hard; }), unknown_.end());
  } else {
    for (size_t i = from; i < unknown_.size(); ++i) unknown_[i].hard = true;
  }
}

Status Parser::run() {
  tree_.loop = tree_.intern("loop");
  tree_.caller = tree_.intern("caller");
  tree_.kwargs = tree_.intern("kwargs");
  tree_.varargs = tree_.intern("varargs");
  tree_.body = statements({}, false);
  if (!error_ && !unknown_.empty()) fail(unknown_.front().message, unknown_.front().line);
  if (error_) return tl::unexpected<Error>(std::move(*error_));
  return {};
}

// Everything up to a block tag that begins with one of end_words (or the end of the template when there are none).
Body Parser::statements(Words end_words, bool drop_end) {
  Body body;
  const Nest nest(*this);
  while (!failed()) {
    switch (current().type) {
      case Tok::kEnd:
        if (end_words.size() > 0) {
          fail(fmt::format("Unexpected end of template. It should go on with '{}'.", *(end_words.end() - 1)));
        }
        return body;
      case Tok::kData: {
        Stmt* s = make(StmtKind::kText, current().line);
        s->text = current().text;
        body.push_back(s);
        advance();
        break;
      }
      case Tok::kVariableBegin: {
        advance();
        Stmt* s = make(StmtKind::kPrint, current().line);
        s->value = tuple({});
        body.push_back(s);
        expect(Tok::kVariableEnd, "'}}'");
        break;
      }
      default:
        advance();
        if (std::any_of(end_words.begin(), end_words.end(), [this](std::string_view w) { return is_word(w); })) {
          if (drop_end) advance();
          return body;
        }
        if (is_word("print")) {
          print(body);
        } else if (Stmt* s = statement()) {
          body.push_back(s);
        }
        expect(Tok::kBlockEnd, "'%}'");
    }
  }
  return body;
}

// The body behind a block tag.
Body Parser::block(Words end_words) {
  skip_op(":");
  expect(Tok::kBlockEnd, "'%}'");
  return statements(end_words, true);
}

// A body whose frame is its own: an unknown filter in it counts whatever branch it stands in.
Body Parser::own_frame(Words end_words) {
  const size_t unknown = unknown_.size();
  Body body = block(end_words);
  settle_unknown(unknown, false);
  return body;
}

Stmt* Parser::statement() {
  if (current().type != Tok::kName) {
    fail("tag name expected");
    return nullptr;
  }
  struct Row {
    std::string_view word;
    Stmt* (Parser::*parse)();
  };
  constexpr Row kRows[] = {
      {"for", &Parser::for_loop},
      {"if", &Parser::if_chain},
      {"set", &Parser::set},
      {"macro", &Parser::macro},
      {"call", &Parser::call_block},
      {"filter", &Parser::filter_block},
      {"with", &Parser::with},
      {"block", &Parser::named_block},
      {"autoescape", &Parser::autoescape},
      {"generation", &Parser::generation},
  };
  for (const Row& row : kRows) {
    if (is_word(row.word)) return (this->*row.parse)();
  }
  if (is_word("break")) return jump(StmtKind::kBreak);
  if (is_word("continue")) return jump(StmtKind::kContinue);
  for (std::string_view refused : {"include", "import", "from", "extends"}) {
    if (is_word(refused)) {
      fail(fmt::format("'{}' is refused: a chat template stands alone", refused));
      return nullptr;
    }
  }
  fail(fmt::format("Encountered unknown tag {}.", describe()));
  return nullptr;
}

void Parser::print(Body& body) {
  advance();
  bool first = true;
  while (!failed() && current().type != Tok::kBlockEnd) {
    if (!first) expect_op(",");
    first = false;
    Stmt* s = make(StmtKind::kPrint, current().line);
    s->value = expression();
    body.push_back(s);
  }
}

bool Parser::assignable(const Expr* e) {
  if (e->kind == ExprKind::kName || e->kind == ExprKind::kNamespaceRef) return true;
  return e->kind == ExprKind::kTuple &&
         std::all_of(e->items.begin(), e->items.end(), [this](const Expr* item) { return assignable(item); });
}

Expr* Parser::target(const TupleRule& rule) {
  const uint32_t line = current().line;
  Expr* e = tuple(rule);
  if (!failed() && !assignable(e)) fail("can't assign to this expression", line);
  return e;
}

Stmt* Parser::for_loop() {
  Stmt* s = make(StmtKind::kFor, current().line);
  advance();
  s->target = target({.simplified = true, .end_word = "in"});
  if (s->target->kind == ExprKind::kName && s->target->symbol == tree_.loop) {
    fail("Can't assign to special loop variable in for-loop");
  }
  expect_word("in");
  s->value = tuple({.with_condition = false, .end_word = "recursive"});
  const size_t unknown = unknown_.size();
  if (skip_word("if")) s->test = expression();
  s->recursive = skip_word("recursive");
  skip_op(":");
  expect(Tok::kBlockEnd, "'%}'");
  ++loops_;
  s->body = statements({"endfor", "else"}, false);
  --loops_;
  if (skip_word("else")) {
    s->otherwise = block({"endfor"});
  } else {
    skip_word("endfor");
  }
  settle_unknown(unknown, false);
  return s;
}

Stmt* Parser::if_chain() {
  Stmt* s = make(StmtKind::kIf, current().line);
  const size_t unknown = unknown_.size();
  bool more = true;
  while (more && !failed()) {
    more = is_word("if") || is_word("elif");
    advance();
    Expr* test = more ? tuple({.with_condition = false}) : nullptr;
    skip_op(":");
    expect(Tok::kBlockEnd, "'%}'");
    if (more) {
      s->branches.emplace_back(test, statements({"elif", "else", "endif"}, false));
    } else {
      s->branches.emplace_back(test, statements({"endif"}, false));
    }
    if (is_word("endif")) break;
  }
  skip_word("endif");
  settle_unknown(unknown, true);
  return s;
}

Stmt* Parser::set() {
  Stmt* s = make(StmtKind::kSet, current().line);
  advance();
  s->target = target({.simplified = true, .with_namespace = true});
  if (skip_op("=")) {
    s->value = tuple({});
    return s;
  }
  s->kind = StmtKind::kSetBlock;
  s->test = filter_chain(nullptr, false);
  s->body = own_frame({"endset"});
  return s;
}

void Parser::signature(MacroNode& node) {
  expect_op("(");
  while (!failed() && !is_op(")")) {
    if (!node.params.empty()) expect_op(",");
    const uint32_t line = current().line;
    const std::string name = expect_name();
    for (std::string_view word : {"true", "false", "none", "True", "False", "None"}) {
      if (name == word) fail("can't assign to a constant", line);
    }
    if (std::any_of(node.params.begin(), node.params.end(), [&](const auto& p) { return p.second == name; })) {
      fail(fmt::format("duplicate argument '{}'", name), line);
    }
    node.params.emplace_back(tree_.intern(name), name);
    if (skip_op("=")) {
      node.defaults.push_back(expression());
    } else if (!node.defaults.empty()) {
      fail("non-default argument follows default argument", line);
    }
    node.explicit_caller |= name == "caller";
  }
  expect_op(")");
}

void Parser::macro_body(MacroNode& node, Words end_words) {
  const size_t outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&node);
  node.body = own_frame(end_words);
  macros_.pop_back();
  loops_ = outer_loops;
  const size_t plain = node.params.size() - node.defaults.size();
  for (size_t i = 0; i < plain && node.uses_caller; ++i) {
    if (node.params[i].second == "caller") fail("the special 'caller' argument must be omitted or be given a default");
  }
}

Stmt* Parser::macro() {
  Stmt* s = make(StmtKind::kMacro, current().line);
  advance();
  s->macro = &tree_.macros.emplace_back();
  s->target = make(ExprKind::kName, current().line);
  s->macro->name = expect_name();
  s->target->symbol = tree_.intern(s->macro->name);
  signature(*s->macro);
  macro_body(*s->macro, {"endmacro"});
  return s;
}

Stmt* Parser::call_block() {
  Stmt* s = make(StmtKind::kCallBlock, current().line);
  advance();
  s->macro = &tree_.macros.emplace_back();
  if (is_op("(")) signature(*s->macro);
  s->value = expression();
  if (!failed() && s->value->kind != ExprKind::kCall) fail("expected call", s->line);
  macro_body(*s->macro, {"endcall"});
  return s;
}

Stmt* Parser::filter_block() {
  Stmt* s = make(StmtKind::kFilterBlock, current().line);
  advance();
  s->test = filter_chain(nullptr, true);
  s->body = own_frame({"endfilter"});
  return s;
}

Stmt* Parser::with() {
  Stmt* s = make(StmtKind::kWith, current().line);
  advance();
  while (!failed() && current().type != Tok::kBlockEnd) {
    if (!s->bindings.empty()) expect_op(",");
    Expr* to = target({.simplified = true});
    expect_op("=");
    s->bindings.emplace_back(to, expression());
  }
  s->body = own_frame({"endwith"});
  return s;
}

Stmt* Parser::named_block() {
  Stmt* s = make(StmtKind::kBlock, current().line);
  advance();
  const std::string name = expect_name();
  if (std::find(blocks_.begin(), blocks_.end(), name) != blocks_.end()) {
    fail(fmt::format("block '{}' defined twice", name));
  }
  blocks_.push_back(name);
  if (skip_word("scoped")) s->kind = StmtKind::kScope;
  if (is_word("required")) fail("a required block needs a template that extends this one");
  MacroNode frame;  // a loop around the block does not reach into it
  macro_body(frame, {"endblock"});
  s->body = std::move(frame.body);
  if (is_word(name)) advance();
  return s;
}

Stmt* Parser::autoescape() {
  Stmt* s = make(StmtKind::kScope, current().line);
  advance();
  s->test = expression();
  s->body = own_frame({"endautoescape"});
  return s;
}

// {% generation %} marks the assistant's text for training; rendering shows its body.
Stmt* Parser::generation() {
  Stmt* s = make(StmtKind::kScope, current().line);
  advance();
  MacroNode frame;
  macro_body(frame, {"endgeneration"});
  s->body = std::move(frame.body);
  return s;
}

Stmt* Parser::jump(StmtKind kind) {
  Stmt* s = make(kind, current().line);
  if (loops_ == 0) fail(fmt::format("'{}' outside loop", current().text));
  advance();
  return s;
}

Result<std::unique_ptr<Tree>> parse_template(std::string_view source, const TemplateLimits& limits) {
  QUERN_TRY(auto tokens, tokenize(source));
  auto tree = std::make_unique<Tree>();
  QUERN_CHECK_OK(Parser(std::move(tokens), *tree, limits).run());
  return tree;
}

}  // namespace quern::jinja
