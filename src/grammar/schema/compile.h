// Compiler: a schema's rules. A rule is made for a set of schemas that all hold for one value: $ref and allOf bring
// schemas into the set, each branch of anyOf and oneOf makes a rule of its own, and what is left is written by type.
// Rules are found again by their set, so a schema that refers to itself becomes a rule that does, and rules that are
// still to be written wait in a queue, not on the stack. The number of sets and the work on them are bounded:
// kResource.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/schema/node.h"
#include "grammar/schema/text.h"
#include "grammar/schema/validate.h"

namespace quern::grammar::schema {

// What a set of schemas without branches asks of a value.
struct Facts {
  std::vector<const Node*> nodes;
  Types types = kAnyType;

  std::optional<Decimal> least, most;
  bool least_open = false, most_open = false;
  std::vector<const Node*> multiples;

  std::vector<const Value*> patterns, formats;
  size_t min_length = 0, max_length = kNoLimit;
  size_t min_items = 0, max_items = kNoLimit;
  size_t min_properties = 0, max_properties = kNoLimit;
};

// Names of members that are not listed and ask the same of their values.
struct Names {
  Dfa texts;
  std::vector<const Value*> schemas;  // of patterns that match
  std::vector<const Node*> nodes;     // whose patterns do
};

// Schemas by their ids, in order; the lowest bits say which of a schema's branches were taken already.
using Set = std::vector<uint32_t>;

class Compiler {
 public:
  Compiler(Schema& schema, const JsonOptions& options, IrBuilder& to)
      : schema_(schema), texts_(schema, budget_), validator_(schema, texts_, budget_), text_(options, to), to_(to) {}

  Result<Symbol> compile();
  [[nodiscard]] std::vector<std::string> take_warnings() { return std::move(warnings_); }

 private:
  static constexpr size_t kMaxSets = 20'000;
  static constexpr uint32_t kAnyOfTaken = 1, kOneOfTaken = 2, kFlagBits = 2;

  struct Closure {
    Set set;
    std::set<uint32_t> seen;
    bool never = false;
  };

  // compile.cpp: sets
  [[nodiscard]] const Node& node_of(uint32_t element) const { return schema_.known(element >> kFlagBits); }
  // With the place of whom it is about in the message.
  template <class T>
  Result<T> placed(const Node& node, Result<T> result) const {
    if (!result) result.error().message = schema_.place(*node.value) + ": " + result.error().message;
    return result;
  }
  Status close(const Value& schema, Closure& closure);
  Result<Symbol> rule_for(const std::vector<const Value*>& schemas);
  Result<Symbol> rule_of(Closure closure);
  Status define(Symbol rule, const Set& set);
  Status branch(Symbol rule, const Set& set, size_t at, bool any_of);
  Facts facts_of(const Set& set) const;
  [[nodiscard]] const Node* listing(const Set& set) const;
  Result<std::vector<const Value*>> listed_values(const Set& set, const Node& listed);
  Status literals(Symbol rule, const std::vector<const Value*>& values);
  Status add_strings(Symbol rule, const std::vector<const Value*>& strings);
  // one_of.cpp: whether no value satisfies both; false where that cannot be told
  Result<bool> differ(const Value& a, const Value& b, unsigned depth);
  Result<bool> branches_differ(const std::vector<const Value*>& branches);

  // scalars.cpp
  Result<Symbol> number(const Facts& facts);
  Result<Symbol> string(const Facts& facts);
  Result<Dfa> string_set(const Facts& facts);
  // names.cpp: the names of members that are not listed
  Result<std::vector<Names>> other_names(const Facts& facts, const std::vector<std::string_view>& listed);
  Result<Dfa> allowed_names(const Facts& facts, const std::vector<std::string_view>& listed);
  // containers.cpp
  struct Members;
  struct Item {
    Symbol text;
    bool required;
  };
  Result<Symbol> array(const Facts& facts);
  Result<Symbol> unique_array(const Facts& facts, const Node& unique);
  Symbol in_order(const std::vector<Item>& items, std::vector<Symbol> after, size_t most);
  Result<Symbol> object(const Facts& facts);
  Result<Members> members_of(const Facts& facts);
  Result<Symbol> value_of(std::string_view name, const Facts& facts);
  Status add_others(const Facts& facts, bool unmatched, Members& members);
  Result<Symbol> write_members(const Members& members);
  std::vector<Symbol> more_members(Symbol pair, size_t most);

  Schema& schema_;
  Budget budget_;
  TextSets texts_;
  Validator validator_;
  JsonText text_;
  IrBuilder& to_;
  std::map<Set, Symbol> rules_;
  std::deque<std::pair<Symbol, const Set*>> waiting_;
  std::map<std::string, Symbol> made_;  // of scalars, by what they ask
  std::set<uint32_t> warned_;
  std::vector<std::string> warnings_;
};

}  // namespace quern::grammar::schema
