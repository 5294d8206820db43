// The interpreter: walks a template's syntax tree once and collects the text.
//
// One per render, one thread. The tree is only read. Scopes follow Jinja2: loops, macros, with and blocks have their
// own, branches have not; what a loop's round sets is gone in the next.
#pragma once

#include <string>
#include <vector>

#include "chat/ast.h"
#include "chat/runtime.h"

namespace quern::jinja {

struct Scope : Object {
  explicit Scope(Scope* p) : parent(p) {}
  Scope* parent;
  std::vector<std::pair<Symbol, Value>> variables;
  bool captured = false;  // a macro holds it: it must not be used for the next round of a loop
};

struct MacroObject : Object {
  MacroObject(const MacroNode* n, Scope* s) : node(n), scope(s) {}
  const MacroNode* node;
  Scope* scope;  // where it was defined
};

// The `loop` of a running for: fetches items one ahead of the body at most, as Jinja2 does.
struct LoopObject : Object {
  const Stmt* node = nullptr;
  Scope* scope = nullptr;  // around the loop
  Scope* test_scope = nullptr;
  Value source;
  Iteration items;
  std::vector<Value> ahead;  // fetched, in reverse order
  Value previous, current;
  int64_t index0 = -1;
  int64_t depth0 = 0;
  int64_t length = -1;
  std::vector<Value> last_changed;
  bool has_changed = false;
};

class Interpreter {
 public:
  Interpreter(const Tree& tree, Runtime& rt, Value context) : tree_(tree), rt_(rt), context_(context) {}

  // The text; an error is left in the Runtime.
  std::string run();

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // Statements (interpreter.cpp).
  Flow execute(const Body& body);
  Flow execute(const Stmt& s);
  Flow run_if(const Stmt& s);
  Flow run_for(const Stmt& s);
  Flow run_loop(const Stmt& s, LoopObject& loop);
  Flow run_scope(const Stmt& s);
  Flow run_with(const Stmt& s);
  Flow run_captured(const Stmt& s);
  void run_call_block(const Stmt& s);
  void emit(std::string_view text);
  void assign(const Expr& target, const Value& value);
  void unpack(const Expr& target, const Value& value);
  Scope* new_scope(Scope* parent);
  void define(Scope* scope, Symbol symbol, const Value& value);
  Value make_macro(const MacroNode* node);

  // Loops (loops.cpp).
  bool fetch(LoopObject& loop, Value& out);
  bool peek(LoopObject& loop);
  int64_t length(LoopObject& loop);
  Value loop_attribute(LoopObject& loop, const Value& self, std::string_view name);
  Value call_loop(const Value& self, const Args& args);
  Value loop_method(LoopObject& loop, std::string_view name, const Args& args);

  // Expressions (evaluate.cpp).
  Value eval(const Expr& e);
  Value eval_name(const Expr& e);
  Value eval_items(const Expr& e);
  Value eval_dict(const Expr& e);
  Value eval_slice(const Expr& e);
  Value eval_concat(const Expr& e);
  Value eval_compare(const Expr& e);
  Value eval_condition(const Expr& e);
  Value eval_attribute(const Expr& e);
  Value eval_filter(const Expr& e, const Value* input);
  Value eval_test(const Expr& e);
  Value eval_call(const Expr& e, const Value* caller);
  bool eval_args(const CallArgs& from, Args& args);
  Value call(const Value& callee, const Args& args);
  Value call_macro(const Value& callee, const Args& args);
  bool bind_macro(const MacroNode& node, const Args& args, Scope* scope, std::vector<bool>& missing);

  const Tree& tree_;
  Runtime& rt_;
  Value context_;
  Scope* root_ = nullptr;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  size_t emitted_ = 0;
};

}  // namespace quern::jinja
