// The syntax tree of a template. Nodes are owned by the Tree and refer to each other by plain pointers, so that a long
// chain of operators is freed without recursion. Immutable once parsed: any number of threads may render it.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "chat/native.h"
#include "chat/operators.h"

namespace quern::jinja {

using Symbol = uint32_t;  // a name, numbered by its template

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kNamespaceRef,  // ns.attr as the target of an assignment
  kTuple,
  kList,
  kDict,       // items: key, value, key, value, ...
  kAttribute,  // items[0].text
  kItem,       // items[0][items[1]]
  kSlice,      // items[0][items[1]:items[2]:items[3]], null for None
  kCall,
  kFilter,
  kTest,
  kNot,
  kNegate,
  kPositive,
  kBinary,
  kConcat,
  kCompare,  // items[0] compares[0] items[1] compares[1] items[2] ...
  kAnd,
  kOr,
  kCondition,  // items[1] if items[0] else items[2], which may be null
};

struct Expr;

struct CallArgs {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string, Expr*>> named;
  Expr* rest = nullptr;        // *args
  Expr* rest_named = nullptr;  // **kwargs
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  BinaryOp op = BinaryOp::kAdd;
  uint32_t line = 1;
  Symbol symbol = 0;
  const Native* native = nullptr;  // of a filter or test; null when there is none of that name
  Value constant;
  std::string text;  // attribute, filter or test name
  std::vector<Expr*> items;
  std::vector<CompareOp> compares;
  CallArgs args;
};

enum class StmtKind : uint8_t {
  kText,
  kPrint,
  kFor,
  kIf,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,  // generation, autoescape false: a scope of its own
  kBlock,  // {% block %}: a scope directly under the template's
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<Stmt*>;

struct MacroNode {
  std::string name;
  std::vector<std::pair<Symbol, std::string>> params;
  std::vector<Expr*> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
  bool explicit_caller = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  bool recursive = false;
  uint32_t line = 1;
  std::string text;
  Expr* target = nullptr;
  Expr* value = nullptr;                          // printed, assigned, iterated, called
  Expr* test = nullptr;                           // of a filtered loop; the filter of a block
  std::vector<std::pair<Expr*, Body>> branches;   // of an if; a null test is else
  std::vector<std::pair<Expr*, Expr*>> bindings;  // of a with: target, value
  Body body;
  Body otherwise;  // of a for
  MacroNode* macro = nullptr;
};

struct Tree {
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  std::deque<MacroNode> macros;
  std::vector<std::string> names;  // by symbol
  std::unordered_map<std::string, Symbol> symbols;
  Heap heap;  // of constants
  Body body;
  // Names that the interpreter itself binds.
  Symbol loop = 0, caller = 0, kwargs = 0, varargs = 0;

  Symbol intern(const std::string& name) {
    const auto [it, added] = symbols.emplace(name, static_cast<Symbol>(names.size()));
    if (added) names.push_back(name);
    return it->second;
  }
};

}  // namespace quern::jinja
