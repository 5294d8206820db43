// The `loop` variable.
#include <algorithm>

#include "chat/interpreter.h"

namespace quern::jinja {

// The next item that passes the loop's own test.
bool Interpreter::fetch(LoopObject& loop, Value& out) {
  if (!loop.ahead.empty()) {
    out = loop.ahead.back();
    loop.ahead.pop_back();
    return true;
  }
  const Expr* test = loop.node->test;
  while (loop.items.next(rt_, out)) {
    if (!test) return true;
    if (!loop.test_scope || loop.test_scope->captured) loop.test_scope = new_scope(loop.scope);
    Scope* outer = std::exchange(scope_, loop.test_scope);
    assign(*loop.node->target, out);
    const bool passes = truth(rt_, eval(*test));
    scope_ = outer;
    if (rt_.failed()) return false;
    if (passes) return true;
  }
  return false;
}

bool Interpreter::peek(LoopObject& loop) {
  Value next;
  if (loop.ahead.empty() && fetch(loop, next)) loop.ahead.push_back(next);
  return !loop.ahead.empty();
}

int64_t Interpreter::length(LoopObject& loop) {
  if (loop.length >= 0) return loop.length;
  if (!loop.node->test && is_sized(loop.source)) {
    loop.length = length_of(rt_, loop.source);
    return loop.length;
  }
  std::vector<Value> rest(loop.ahead.rbegin(), loop.ahead.rend());
  loop.ahead.clear();
  for (Value v; fetch(loop, v) && rt_.fits(rest.size() * sizeof(Value));) rest.push_back(v);
  std::reverse(rest.begin(), rest.end());
  loop.ahead = std::move(rest);
  loop.length = loop.index0 + 1 + static_cast<int64_t>(loop.ahead.size());
  return loop.length;
}

Value Interpreter::loop_attribute(LoopObject& loop, const Value& self, std::string_view name) {
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!peek(loop));
  if (name == "length") return Value::integer(length(loop));
  if (name == "revindex") return Value::integer(length(loop) - loop.index0);
  if (name == "revindex0") return Value::integer(length(loop) - loop.index0 - 1);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "previtem") return loop.index0 == 0 ? rt_.undefined("there is no previous item") : loop.previous;
  if (name == "nextitem") return peek(loop) ? loop.ahead.back() : rt_.undefined("there is no next item");
  return get_attribute(rt_, self, name);
}

Value Interpreter::loop_method(LoopObject& loop, std::string_view name, const Args& args) {
  if (!args.named.empty()) return rt_.raise("TypeError", "loop methods take no keyword arguments");
  if (name == "cycle") {
    if (args.positional.empty()) return rt_.raise("TypeError", "no items for cycling given");
    return args.positional[static_cast<size_t>(loop.index0) % args.positional.size()];
  }
  bool same = loop.has_changed && loop.last_changed.size() == args.positional.size();
  for (size_t i = 0; same && i < args.positional.size(); ++i) {
    same = equal(rt_, loop.last_changed[i], args.positional[i]);
  }
  loop.has_changed = true;
  if (!same) loop.last_changed = args.positional;
  return Value::boolean(!same);
}

// loop(items) in a recursive loop: the loop once more, one level deeper, as text.
Value Interpreter::call_loop(const Value& self, const Args& args) {
  auto& loop = self.as<LoopObject>();
  if (!loop.node->recursive) {
    return rt_.raise("TypeError", "The loop must have the 'recursive' marker to be called recursively.");
  }
  if (args.positional.size() != 1 || !args.named.empty()) return rt_.raise("TypeError", "loop() takes one argument");
  rt_.fits(sizeof(LoopObject));
  auto* inner = rt_.heap().make<LoopObject>(0);
  inner->node = loop.node;
  inner->scope = loop.scope;
  inner->source = args.positional.front();
  inner->depth0 = loop.depth0 + 1;
  if (!inner->items.begin(rt_, inner->source)) return {};
  std::string text;
  std::string* out = std::exchange(out_, &text);
  run_loop(*loop.node, *inner);
  out_ = out;
  return rt_.failed() ? Value() : rt_.string(std::move(text));
}

}  // namespace quern::jinja
