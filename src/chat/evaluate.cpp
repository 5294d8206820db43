// Expressions and calls.
#include <algorithm>

#include "chat/interpreter.h"

namespace quern::jinja {

Value Interpreter::eval(const Expr& e) {
  Runtime::Depth depth(rt_);
  if (!depth || !rt_.step()) return {};
  rt_.set_line(e.line);
  switch (e.kind) {
    case ExprKind::kConst:
      return e.constant;
    case ExprKind::kNamespaceRef:
    case ExprKind::kName:
      return eval_name(e);
    case ExprKind::kTuple:
    case ExprKind::kList:
      return eval_items(e);
    case ExprKind::kDict:
      return eval_dict(e);
    case ExprKind::kAttribute:
      return eval_attribute(e);
    case ExprKind::kSlice:
      return eval_slice(e);
    case ExprKind::kCall:
      return eval_call(e, nullptr);
    case ExprKind::kFilter:
      return eval_filter(e, nullptr);
    case ExprKind::kTest:
      return eval_test(e);
    case ExprKind::kConcat:
      return eval_concat(e);
    case ExprKind::kCompare:
      return eval_compare(e);
    case ExprKind::kCondition:
      return eval_condition(e);
    default:
      break;
  }
  const Value left = eval(*e.items[0]);
  if (rt_.failed()) return {};
  switch (e.kind) {
    case ExprKind::kNot:
      return Value::boolean(!truth(rt_, left));
    case ExprKind::kNegate:
      return negate(rt_, left);
    case ExprKind::kPositive:
      return positive(rt_, left);
    case ExprKind::kAnd:
      return truth(rt_, left) ? eval(*e.items[1]) : left;
    case ExprKind::kOr:
      return truth(rt_, left) ? left : eval(*e.items[1]);
    default:
      break;
  }
  const Value right = eval(*e.items[1]);
  if (rt_.failed()) return {};
  rt_.set_line(e.line);
  if (e.kind == ExprKind::kBinary) return binary(rt_, e.op, left, right);
  if (left.is(Kind::kLoop) && right.is_string()) {
    return loop_attribute(left.as<LoopObject>(), left, right.text());
  }
  return get_item(rt_, left, right);
}

Value Interpreter::eval_name(const Expr& e) {
  for (const Scope* s = scope_; s; s = s->parent) {
    for (const auto& [symbol, value] : s->variables) {
      if (symbol == e.symbol) return value;
    }
  }
  const std::string& name = tree_.names[e.symbol];
  if (const Value* found = context_.dict().find(name)) return *found;
  if (const Native* global = find_global(name)) return rt_.function(global, Value());
  const std::string_view why = refusal_of(name);
  return rt_.undefined(why.empty() ? fmt::format("'{}' is undefined", name) : std::string(why));
}

Value Interpreter::eval_items(const Expr& e) {
  std::vector<Value> items;
  items.reserve(e.items.size());
  for (const Expr* item : e.items) items.push_back(eval(*item));
  return rt_.sequence(e.kind == ExprKind::kTuple ? Kind::kTuple : Kind::kList, std::move(items));
}

Value Interpreter::eval_dict(const Expr& e) {
  DictObject* dict = rt_.dict();
  for (size_t i = 0; i + 1 < e.items.size() && !rt_.failed(); i += 2) {
    const Value key = eval(*e.items[i]);
    const Value value = eval(*e.items[i + 1]);
    if (!rt_.failed()) dict->set(rt_, key, value);
  }
  return {Kind::kDict, dict};
}

Value Interpreter::eval_slice(const Expr& e) {
  const Value v = eval(*e.items[0]);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) parts[i] = e.items[i + 1] ? eval(*e.items[i + 1]) : Value::none();
  if (rt_.failed()) return {};
  rt_.set_line(e.line);
  return get_slice(rt_, v, parts[0], parts[1], parts[2]);
}

Value Interpreter::eval_concat(const Expr& e) {
  std::string text;
  for (const Expr* item : e.items) {
    const Value v = eval(*item);
    if (rt_.failed()) return {};
    append_str(rt_, text, v);
    if (!rt_.fits(text.size())) return {};
  }
  return rt_.string(std::move(text));
}

Value Interpreter::eval_compare(const Expr& e) {
  Value left = eval(*e.items[0]);
  for (size_t i = 0; i < e.compares.size() && !rt_.failed(); ++i) {
    const Value right = eval(*e.items[i + 1]);
    if (rt_.failed()) return {};
    rt_.set_line(e.line);
    if (!compare(rt_, e.compares[i], left, right)) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Interpreter::eval_condition(const Expr& e) {
  const bool yes = truth(rt_, eval(*e.items[0]));
  if (rt_.failed()) return {};
  if (yes) return eval(*e.items[1]);
  if (e.items[2]) return eval(*e.items[2]);
  return rt_.undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Value Interpreter::eval_attribute(const Expr& e) {
  const Value v = eval(*e.items[0]);
  if (rt_.failed()) return {};
  rt_.set_line(e.line);
  if (v.is(Kind::kLoop)) return loop_attribute(v.as<LoopObject>(), v, e.text);
  if (v.is(Kind::kMacro) && e.text == "name") {
    const std::string& name = v.as<MacroObject>().node->name;
    return name.empty() ? Value::none() : rt_.string(name);
  }
  return get_attribute(rt_, v, e.text);
}

// `input` stands for the missing operand of a block's filter.
Value Interpreter::eval_filter(const Expr& e, const Value* input) {
  Runtime::Depth depth(rt_);
  if (!depth) return {};
  const Expr* operand = e.items[0];
  Value v;
  if (!operand) {
    v = *input;
  } else if (operand->kind == ExprKind::kFilter) {
    v = eval_filter(*operand, input);
  } else {
    v = eval(*operand);
  }
  Args args;
  if (rt_.failed() || !eval_args(e.args, args)) return {};
  rt_.set_line(e.line);
  if (!e.native) return rt_.raise("TemplateRuntimeError", fmt::format("No filter named '{}' found.", e.text));
  return invoke(rt_, *e.native, v, args);
}

Value Interpreter::eval_test(const Expr& e) {
  const Value v = eval(*e.items[0]);
  Args args;
  if (rt_.failed() || !eval_args(e.args, args)) return {};
  rt_.set_line(e.line);
  if (!e.native) return rt_.raise("TemplateRuntimeError", fmt::format("No test named '{}' found.", e.text));
  return invoke(rt_, *e.native, v, args);
}

bool Interpreter::eval_args(const CallArgs& from, Args& args) {
  for (const Expr* e : from.positional) args.positional.push_back(eval(*e));
  for (const auto& [name, e] : from.named) args.named.emplace_back(name, eval(*e));
  if (from.rest) {
    const Value rest = eval(*from.rest);
    if (rt_.failed()) return false;
    for (const Value& v : items_of(rt_, rest)) args.positional.push_back(v);
  }
  if (from.rest_named) {
    const Value rest = eval(*from.rest_named);
    if (rt_.failed()) return false;
    if (!rest.is_dict()) rt_.raise("TypeError", "argument after ** must be a mapping");
    for (size_t i = 0; rest.is_dict() && i < rest.dict().entries.size() && rt_.step(); ++i) {
      const auto& [key, value] = rest.dict().entries[i];
      if (!key.is_string()) {
        rt_.raise("TypeError", "keywords must be strings");
        return false;
      }
      const bool twice = std::any_of(args.named.begin(), args.named.end(),
                                     [&](const auto& named) { return named.first == key.text(); });
      if (twice) rt_.raise("TypeError", fmt::format("got multiple values for keyword argument '{}'", key.text()));
      args.named.emplace_back(key.text(), value);
    }
  }
  return !rt_.failed();
}

Value Interpreter::eval_call(const Expr& e, const Value* caller) {
  const Expr& callee = *e.items[0];
  Value method_of;
  if (callee.kind == ExprKind::kAttribute) method_of = eval(*callee.items[0]);
  const bool loop_call = method_of.is(Kind::kLoop) && (callee.text == "cycle" || callee.text == "changed");
  Value f;
  if (callee.kind != ExprKind::kAttribute) {
    f = eval(callee);
  } else if (!loop_call && !rt_.failed()) {
    rt_.set_line(callee.line);
    f = method_of.is(Kind::kLoop) ? loop_attribute(method_of.as<LoopObject>(), method_of, callee.text)
                                  : get_attribute(rt_, method_of, callee.text);
  }
  Args args;
  if (rt_.failed() || !eval_args(e.args, args)) return {};
  rt_.set_line(e.line);
  if (caller) args.named.emplace_back("caller", *caller);
  if (loop_call) return loop_method(method_of.as<LoopObject>(), callee.text, args);
  return call(f, args);
}

Value Interpreter::call(const Value& callee, const Args& args) {
  switch (callee.kind()) {
    case Kind::kUndefined:
      return rt_.raise_undefined(callee);
    case Kind::kFunction:
      return invoke(rt_, *callee.as<FunctionObject>().native, callee.as<FunctionObject>().self, args);
    case Kind::kMacro:
      return call_macro(callee, args);
    case Kind::kLoop:
      return call_loop(callee, args);
    case Kind::kJoiner: {
      auto& joiner = callee.as<JoinerObject>();
      if (!args.positional.empty() || !args.named.empty()) return rt_.raise("TypeError", "a joiner takes no arguments");
      return std::exchange(joiner.used, true) ? joiner.separator : rt_.string("");
    }
    default:
      return rt_.raise("TypeError", fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

// Matches arguments to a macro's parameters, as runtime.Macro.__call__ does.
bool Interpreter::bind_macro(const MacroNode& node, const Args& args, Scope* scope, std::vector<bool>& missing) {
  std::vector<bool> used(args.named.size(), false);
  const size_t count = node.params.size();
  const auto take = [&](std::string_view name, Value& value) {
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first != name || used[i]) continue;
      value = args.named[i].second;
      used[i] = true;
      return true;
    }
    return false;
  };
  for (size_t i = 0; i < count; ++i) {
    Value value;
    missing[i] = false;
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else {
      missing[i] = !take(node.params[i].second, value);
    }
    if (!missing[i]) define(scope, node.params[i].first, value);
  }
  if (node.uses_caller && !node.explicit_caller) {
    Value caller;
    if (!take("caller", caller) || caller.is_none()) caller = rt_.undefined("No caller defined");
    define(scope, tree_.caller, caller);
  }
  DictObject* kwargs = node.uses_kwargs ? rt_.dict() : nullptr;
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const std::string& name = args.named[i].first;
    if (!kwargs) {
      rt_.raise("TypeError", fmt::format("macro '{}' takes no keyword argument '{}'", node.name, name));
      return false;
    }
    kwargs->set(rt_, rt_.string(name), args.named[i].second);
  }
  if (kwargs) define(scope, tree_.kwargs, Value(Kind::kDict, kwargs));
  std::vector<Value> rest;
  if (args.positional.size() > count)
    rest.assign(args.positional.begin() + static_cast<long>(count), args.positional.end());
  if (node.uses_varargs) {
    define(scope, tree_.varargs, rt_.tuple(std::move(rest)));
  } else if (!rest.empty()) {
    rt_.raise("TypeError", fmt::format("macro '{}' takes not more than {} argument(s)", node.name, count));
  }
  return !rt_.failed();
}

Value Interpreter::call_macro(const Value& callee, const Args& args) {
  const auto& macro = callee.as<MacroObject>();
  const MacroNode& node = *macro.node;
  Scope* scope = new_scope(macro.scope);
  std::vector<bool> missing(node.params.size());
  if (!bind_macro(node, args, scope, missing)) return {};
  const uint32_t line = rt_.line();
  Scope* outer = std::exchange(scope_, scope);
  std::string text;
  std::string* out = std::exchange(out_, &text);
  const size_t plain = node.params.size() - node.defaults.size();
  for (size_t i = 0; i < node.params.size() && !rt_.failed(); ++i) {
    if (!missing[i]) continue;
    const auto& [symbol, name] = node.params[i];
    define(scope, symbol,
           i >= plain ? eval(*node.defaults[i - plain])
                      : rt_.undefined(fmt::format("parameter '{}' was not provided", name)));
  }
  execute(node.body);
  scope_ = outer;
  out_ = out;
  if (rt_.failed()) return {};
  rt_.set_line(line);
  return rt_.string(std::move(text));
}

}  // namespace quern::jinja
