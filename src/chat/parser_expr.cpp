// The expressions, from the loosest operator to the tightest.
#include <algorithm>

#include "chat/parser_impl.h"

namespace quern::jinja {

Expr* Parser::expression(bool with_condition) {
  const Nest nest(*this);
  return with_condition ? condition() : disjunction();
}

Expr* Parser::condition() {
  const size_t unknown = unknown_.size();
  uint32_t line = current().line;
  Expr* then = disjunction();
  bool any = false;
  while (skip_word("if")) {
    any = true;
    Expr* test = disjunction();
    Expr* otherwise = nullptr;
    if (skip_word("else")) {
      const Nest nest(*this);
      otherwise = condition();
    }
    then = make(ExprKind::kCondition, line, {test, then, otherwise});
    line = current().line;
  }
  if (any) settle_unknown(unknown, true);
  return then;
}

Expr* Parser::disjunction() {
  Expr* left = conjunction();
  while (is_word("or")) {
    const uint32_t line = current().line;
    advance();
    left = make(ExprKind::kOr, line, {left, conjunction()});
  }
  return left;
}

Expr* Parser::conjunction() {
  Expr* left = negation();
  while (is_word("and")) {
    const uint32_t line = current().line;
    advance();
    left = make(ExprKind::kAnd, line, {left, negation()});
  }
  return left;
}

Expr* Parser::negation() {
  if (!is_word("not")) return comparison();
  const Nest nest(*this);
  const uint32_t line = current().line;
  advance();
  return make(ExprKind::kNot, line, {negation()});
}

Expr* Parser::comparison() {
  struct Row {
    std::string_view op;
    CompareOp compare;
  };
  constexpr Row kRows[] = {{"==", CompareOp::kEq}, {"!=", CompareOp::kNe}, {"<", CompareOp::kLt},
                           {"<=", CompareOp::kLe}, {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
  const uint32_t line = current().line;
  Expr* first = sum();
  Expr* node = nullptr;
  while (!failed()) {
    CompareOp op{};
    if (const Row* row = std::find_if(std::begin(kRows), std::end(kRows), [this](const Row& r) { return is_op(r.op); });
        row != std::end(kRows)) {
      op = row->compare;
      advance();
    } else if (skip_word("in")) {
      op = CompareOp::kIn;
    } else if (is_word("not") && is_word(look(), "in")) {
      op = CompareOp::kNotIn;
      advance();
      advance();
    } else {
      break;
    }
    if (!node) node = make(ExprKind::kCompare, line, {first});
    node->compares.push_back(op);
    node->items.push_back(sum());
  }
  return node ? node : first;
}

Expr* Parser::sum() {
  Expr* left = concatenation();
  while (is_op("+") || is_op("-")) {
    const BinaryOp op = is_op("+") ? BinaryOp::kAdd : BinaryOp::kSub;
    const uint32_t line = current().line;
    advance();
    left = make(ExprKind::kBinary, line, {left, concatenation()});
    left->op = op;
  }
  return left;
}

Expr* Parser::concatenation() {
  const uint32_t line = current().line;
  Expr* first = product();
  Expr* node = nullptr;
  while (skip_op("~")) {
    if (!node) node = make(ExprKind::kConcat, line, {first});
    node->items.push_back(product());
  }
  return node ? node : first;
}

Expr* Parser::product() {
  struct Row {
    std::string_view op;
    BinaryOp binary;
  };
  constexpr Row kRows[] = {
      {"*", BinaryOp::kMul}, {"/", BinaryOp::kDiv}, {"//", BinaryOp::kFloorDiv}, {"%", BinaryOp::kMod}};
  Expr* left = power();
  while (!failed()) {
    const Row* row = std::find_if(std::begin(kRows), std::end(kRows), [this](const Row& r) { return is_op(r.op); });
    if (row == std::end(kRows)) break;
    const uint32_t line = current().line;
    advance();
    left = make(ExprKind::kBinary, line, {left, power()});
    left->op = row->binary;
  }
  return left;
}

Expr* Parser::power() {
  Expr* left = unary();
  while (is_op("**")) {
    const uint32_t line = current().line;
    advance();
    left = make(ExprKind::kBinary, line, {left, unary()});
    left->op = BinaryOp::kPow;
  }
  return left;
}

Expr* Parser::unary(bool with_filter) {
  const uint32_t line = current().line;
  Expr* node = nullptr;
  if (is_op("-") || is_op("+")) {
    const Nest nest(*this);
    const ExprKind kind = is_op("-") ? ExprKind::kNegate : ExprKind::kPositive;
    advance();
    node = make(kind, line, {unary(false)});
  } else {
    node = primary();
  }
  node = postfix(node);
  return with_filter ? filters_and_tests(node) : node;
}

Expr* Parser::primary(bool with_namespace) {
  const Token& t = current();
  const uint32_t line = t.line;
  switch (t.type) {
    case Tok::kName:
      return word(with_namespace);
    case Tok::kString: {
      std::string text;
      for (; current().type == Tok::kString; advance()) text += current().text;
      return constant(line, text_constant(std::move(text)));
    }
    case Tok::kInteger:
    case Tok::kFloat: {
      const Value value = t.type == Tok::kInteger ? Value::integer(t.integer) : Value::real(t.real);
      advance();
      return constant(line, value);
    }
    default:
      break;
  }
  if (skip_op("(")) {
    Expr* e = tuple({.explicit_parentheses = true});
    expect_op(")");
    return e;
  }
  if (is_op("[")) return list();
  if (is_op("{")) return dict();
  fail(fmt::format("unexpected {}", describe()));
  return constant(line, Value::none());
}

Expr* Parser::word(bool with_namespace) {
  const uint32_t line = current().line;
  const std::string name = expect_name();
  if (name == "true" || name == "True") return constant(line, Value::boolean(true));
  if (name == "false" || name == "False") return constant(line, Value::boolean(false));
  if (name == "none" || name == "None") return constant(line, Value::none());
  Expr* e = make(ExprKind::kName, line);
  e->symbol = tree_.intern(name);
  if (with_namespace && skip_op(".")) {
    e->kind = ExprKind::kNamespaceRef;
    e->text = expect_name();
    return e;
  }
  for (MacroNode* macro : macros_) {
    macro->uses_caller |= e->symbol == tree_.caller;
    macro->uses_kwargs |= e->symbol == tree_.kwargs;
    macro->uses_varargs |= e->symbol == tree_.varargs;
  }
  return e;
}

Expr* Parser::tuple(const TupleRule& rule) {
  const Nest nest(*this);
  const uint32_t line = current().line;
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (!failed()) {
    if (!items.empty()) expect_op(",");
    const bool at_end = current().type == Tok::kVariableEnd || current().type == Tok::kBlockEnd || is_op(")") ||
                        (!rule.end_word.empty() && is_word(rule.end_word));
    if (at_end) break;
    items.push_back(rule.simplified ? primary(rule.with_namespace) : expression(rule.with_condition));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items.front();
  if (!is_tuple && !rule.explicit_parentheses) fail(fmt::format("Expected an expression, got {}", describe()));
  return make(ExprKind::kTuple, line, std::move(items));
}

Expr* Parser::list() {
  Expr* e = make(ExprKind::kList, current().line);
  expect_op("[");
  while (!failed() && !is_op("]")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("]")) break;
    e->items.push_back(expression());
  }
  expect_op("]");
  return e;
}

Expr* Parser::dict() {
  Expr* e = make(ExprKind::kDict, current().line);
  expect_op("{");
  while (!failed() && !is_op("}")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("}")) break;
    e->items.push_back(expression());
    expect_op(":");
    e->items.push_back(expression());
  }
  expect_op("}");
  return e;
}

Expr* Parser::postfix(Expr* node) {
  while (!failed()) {
    if (is_op(".") || is_op("[")) {
      node = subscript(node);
    } else if (is_op("(")) {
      node = call(node);
    } else {
      break;
    }
  }
  return node;
}

Expr* Parser::filters_and_tests(Expr* node) {
  while (!failed()) {
    if (is_op("|")) {
      node = filter_chain(node, false);
    } else if (is_word("is")) {
      node = test(node);
    } else if (is_op("(")) {
      node = call(node);
    } else {
      break;
    }
  }
  return node;
}

Expr* Parser::subscript(Expr* node) {
  const uint32_t line = current().line;
  if (skip_op("[")) return slice_or_index(node, line);
  expect_op(".");
  if (current().type == Tok::kInteger) {
    Expr* index = constant(line, Value::integer(current().integer));
    advance();
    return make(ExprKind::kItem, line, {node, index});
  }
  if (current().type != Tok::kName) fail("expected name or number");
  Expr* e = make(ExprKind::kAttribute, line, {node});
  e->text = expect_name();
  return e;
}

// Behind "[": an index, several (a tuple), or a slice.
Expr* Parser::slice_or_index(Expr* node, uint32_t line) {
  std::vector<Expr*> indices;
  Expr* slice = nullptr;
  while (!failed() && !is_op("]")) {
    if (!indices.empty() || slice) expect_op(",");
    Expr* first = is_op(":") ? nullptr : expression();
    if (!is_op(":")) {
      indices.push_back(first);
      continue;
    }
    if (slice) fail("only one slice is supported in a subscript");
    slice = make(ExprKind::kSlice, line, {node, first, nullptr, nullptr});
    for (size_t part = 2; part < 4 && skip_op(":"); ++part) {
      if (!is_op(":") && !is_op("]") && !is_op(",")) slice->items[part] = expression();
    }
  }
  expect_op("]");
  if (slice && !indices.empty()) fail("a slice and an index in one subscript are not supported");
  if (slice) return slice;
  Expr* index = indices.size() == 1 ? indices.front() : make(ExprKind::kTuple, line, std::move(indices));
  return make(ExprKind::kItem, line, {node, index});
}

void Parser::call_args(CallArgs& args) {
  const uint32_t line = current().line;
  const auto ensure = [&](bool ok) {
    if (!ok) fail("invalid syntax for function call expression", line);
  };
  expect_op("(");
  bool first = true;
  while (!failed() && !is_op(")")) {
    if (!first) {
      expect_op(",");
      if (is_op(")")) break;
    }
    first = false;
    if (skip_op("*")) {
      ensure(!args.rest && !args.rest_named);
      args.rest = expression();
    } else if (skip_op("**")) {
      ensure(!args.rest_named);
      args.rest_named = expression();
    } else if (current().type == Tok::kName && is_op(look(), "=")) {
      ensure(!args.rest_named);
      std::string name = expect_name();
      advance();
      for (const auto& [other, value] : args.named) ensure(other != name);
      args.named.emplace_back(std::move(name), expression());
    } else {
      ensure(!args.rest && !args.rest_named && args.named.empty());
      args.positional.push_back(expression());
    }
  }
  expect_op(")");
}

Expr* Parser::call(Expr* node) {
  Expr* e = make(ExprKind::kCall, current().line, {node});
  call_args(e->args);
  return e;
}

std::string Parser::dotted_name() {
  std::string name = expect_name();
  while (skip_op(".")) name.append(1, '.').append(expect_name());
  return name;
}

// One or more filters; the first without its "|" when inline_first. A null node stands for a block's text.
Expr* Parser::filter_chain(Expr* node, bool inline_first) {
  while (!failed() && (inline_first || is_op("|"))) {
    if (!inline_first) advance();
    inline_first = false;
    Expr* e = make(ExprKind::kFilter, current().line, {node});
    e->text = dotted_name();
    e->native = find_filter(e->text);
    if (!e->native) {
      const std::string_view why = refusal_of(e->text);
      unknown_.push_back(
          {e->line, why.empty() ? fmt::format("No filter named '{}'.", e->text) : std::string(why), false});
    }
    if (is_op("(")) call_args(e->args);
    node = e;
  }
  return node;
}

Expr* Parser::test(Expr* node) {
  Expr* e = make(ExprKind::kTest, current().line, {node});
  advance();
  const bool negated = skip_word("not");
  e->text = dotted_name();
  e->native = find_test(e->text);
  if (!e->native) unknown_.push_back({e->line, fmt::format("No test named '{}'.", e->text), false});
  const Tok type = current().type;
  if (is_op("(")) {
    call_args(e->args);
  } else if ((type == Tok::kName || type == Tok::kString || type == Tok::kInteger || type == Tok::kFloat ||
              is_op("[") || is_op("{")) &&
             !is_word("else") && !is_word("or") && !is_word("and")) {
    if (is_word("is")) fail("You cannot chain multiple tests with is");
    const Nest nest(*this);
    e->args.positional.push_back(postfix(primary()));
  }
  return negated ? make(ExprKind::kNot, e->line, {e}) : e;
}

}  // namespace quern::jinja
