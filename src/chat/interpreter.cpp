#include "chat/interpreter.h"

#include <algorithm>

namespace quern::jinja {

std::string Interpreter::run() {
  std::string text;
  root_ = new_scope(nullptr);
  scope_ = root_;
  out_ = &text;
  execute(tree_.body);
  return text;
}

Scope* Interpreter::new_scope(Scope* parent) {
  rt_.fits(sizeof(Scope));
  return rt_.heap().make<Scope>(64, parent);
}

void Interpreter::define(Scope* scope, Symbol symbol, const Value& value) {
  for (auto& [name, old] : scope->variables) {
    if (name == symbol) {
      old = value;
      return;
    }
  }
  scope->variables.emplace_back(symbol, value);
}

void Interpreter::emit(std::string_view text) {
  emitted_ += text.size();
  if (emitted_ > rt_.limits().max_output_bytes) rt_.refuse("max_output_bytes");
  if (rt_.step(text.size() / 64)) out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const Stmt* s : body) {
    if (!rt_.step()) break;
    const Flow flow = execute(*s);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Stmt& s) {
  Runtime::Depth depth(rt_);
  if (!depth) return Flow::kNormal;
  rt_.set_line(s.line);
  switch (s.kind) {
    case StmtKind::kText:
      emit(s.text);
      break;
    case StmtKind::kPrint: {
      const Value v = eval(*s.value);
      if (rt_.failed()) break;
      if (v.is_string()) {
        emit(v.text());
      } else {
        emit(str_of(rt_, v));
      }
      break;
    }
    case StmtKind::kIf:
      return run_if(s);
    case StmtKind::kFor:
      return run_for(s);
    case StmtKind::kSet:
      assign(*s.target, eval(*s.value));
      break;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock:
      return run_captured(s);
    case StmtKind::kMacro:
      assign(*s.target, make_macro(s.macro));
      break;
    case StmtKind::kCallBlock:
      run_call_block(s);
      break;
    case StmtKind::kWith:
      return run_with(s);
    case StmtKind::kScope:
    case StmtKind::kBlock:
      return run_scope(s);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_if(const Stmt& s) {
  for (const auto& [test, body] : s.branches) {
    if (!test || truth(rt_, eval(*test))) return rt_.failed() ? Flow::kNormal : execute(body);
    if (rt_.failed()) break;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_for(const Stmt& s) {
  const Value source = eval(*s.value);
  if (rt_.failed()) return Flow::kNormal;
  auto* loop = rt_.heap().make<LoopObject>(0);
  loop->node = &s;
  loop->scope = scope_;
  loop->source = source;
  if (!loop->items.begin(rt_, source)) return Flow::kNormal;
  return run_loop(s, *loop);
}

Interpreter::Flow Interpreter::run_loop(const Stmt& s, LoopObject& loop) {
  Scope* outer = scope_;
  Scope* scope = new_scope(loop.scope);
  const Value self(Kind::kLoop, &loop);
  Value item;
  bool completed = false;  // a round ran to its end: Jinja2 decides about else by that
  while (fetch(loop, item)) {
    loop.previous = loop.current;
    loop.current = item;
    ++loop.index0;
    if (scope->captured) {
      scope = new_scope(loop.scope);
    } else {
      scope->variables.clear();
    }
    scope_ = scope;
    assign(*s.target, item);
    define(scope, tree_.loop, self);
    const Flow flow = execute(s.body);
    scope_ = outer;
    completed |= flow == Flow::kNormal;
    if (flow == Flow::kBreak || rt_.failed()) break;
  }
  scope_ = outer;
  if (completed || s.otherwise.empty() || rt_.failed()) return Flow::kNormal;
  scope_ = new_scope(loop.scope);
  const Flow flow = execute(s.otherwise);
  scope_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::run_scope(const Stmt& s) {
  if (s.test && truth(rt_, eval(*s.test))) rt_.raise("TemplateRuntimeError", "autoescape is not supported");
  Scope* outer = scope_;
  scope_ = new_scope(s.kind == StmtKind::kBlock ? root_ : outer);
  const Flow flow = execute(s.body);
  scope_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::run_with(const Stmt& s) {
  std::vector<Value> values;
  for (const auto& binding : s.bindings) values.push_back(eval(*binding.second));
  Scope* outer = scope_;
  scope_ = new_scope(outer);
  for (size_t i = 0; i < values.size() && !rt_.failed(); ++i) assign(*s.bindings[i].first, values[i]);
  const Flow flow = execute(s.body);
  scope_ = outer;
  return flow;
}

// {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}: the body's text as a value.
Interpreter::Flow Interpreter::run_captured(const Stmt& s) {
  std::string text;
  std::string* out = std::exchange(out_, &text);
  Scope* outer = scope_;
  scope_ = new_scope(outer);
  const Flow flow = execute(s.body);
  scope_ = outer;
  out_ = out;
  if (flow != Flow::kNormal || rt_.failed()) return flow;
  Value value = rt_.string(std::move(text));
  rt_.set_line(s.line);
  if (s.test) value = eval_filter(*s.test, &value);
  if (s.kind == StmtKind::kSetBlock) {
    assign(*s.target, value);
  } else if (!rt_.failed()) {
    emit(str_of(rt_, value));
  }
  return Flow::kNormal;
}

Value Interpreter::make_macro(const MacroNode* node) {
  for (Scope* s = scope_; s && !s->captured; s = s->parent) s->captured = true;
  rt_.fits(sizeof(MacroObject));
  return {Kind::kMacro, rt_.heap().make<MacroObject>(0, node, scope_)};
}

void Interpreter::run_call_block(const Stmt& s) {
  const Value caller = make_macro(s.macro);
  const Value result = eval_call(*s.value, &caller);
  if (!rt_.failed()) emit(str_of(rt_, result));
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (rt_.failed()) return;
  if (target.kind == ExprKind::kTuple) {
    unpack(target, value);
  } else if (target.kind == ExprKind::kName) {
    define(scope_, target.symbol, value);
  } else {
    const Value ns = eval_name(target);
    if (!ns.is(Kind::kNamespace)) {
      rt_.raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
      return;
    }
    rt_.heap().charge(target.text.size() + sizeof(Value));
    ns.as<NamespaceObject>().set(target.text, value);
  }
}

void Interpreter::unpack(const Expr& target, const Value& value) {
  Runtime::Depth depth(rt_);
  if (!depth) return;
  Iteration it;
  if (!it.begin(rt_, value)) return;
  std::vector<Value> items;
  for (Value v; items.size() <= target.items.size() && it.next(rt_, v);) items.push_back(v);
  if (items.size() > target.items.size()) {
    rt_.raise("ValueError", fmt::format("too many values to unpack (expected {})", target.items.size()));
  } else if (items.size() < target.items.size()) {
    rt_.raise("ValueError",
              fmt::format("not enough values to unpack (expected {}, got {})", target.items.size(), items.size()));
  }
  for (size_t i = 0; i < target.items.size() && !rt_.failed(); ++i) assign(*target.items[i], items[i]);
}

}  // namespace quern::jinja
