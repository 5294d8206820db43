#include "grammar/schema/compile.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "grammar/json_spelling.h"

namespace quern::grammar::schema {

using Kind = Value::Kind;

Result<Symbol> Compiler::compile() {
  QUERN_TRY(const Symbol root, rule_for({&schema_.root()}));
  while (!waiting_.empty()) {
    const auto [rule, set] = waiting_.front();
    waiting_.pop_front();
    QUERN_CHECK_OK(define(rule, *set));
  }
  return root;
}

// Brings in a schema and what holds with it.
Status Compiler::close(const Value& schema, Closure& closure) {
  QUERN_CHECK_OK(budget_.spend(1));
  QUERN_TRY(const Node* node, schema_.node(schema));
  if (!closure.seen.insert(schema.id).second) return {};
  closure.never |= node->never;
  if (node->asserts || !node->any_of.empty() || !node->one_of.empty()) {
    const uint32_t element = schema.id << kFlagBits;
    const auto at = std::lower_bound(closure.set.begin(), closure.set.end(), element);
    // One that is there already keeps its flags.
    if (at == closure.set.end() || (*at >> kFlagBits) != schema.id) closure.set.insert(at, element);
  }
  if (node->ref != nullptr) QUERN_CHECK_OK(close(*node->ref, closure));
  for (const Value* part : node->all_of) QUERN_CHECK_OK(close(*part, closure));
  return {};
}

Result<Symbol> Compiler::rule_for(const std::vector<const Value*>& schemas) {
  Closure closure;
  for (const Value* schema : schemas) QUERN_CHECK_OK(close(*schema, closure));
  return rule_of(std::move(closure));
}

Result<Symbol> Compiler::rule_of(Closure closure) {
  QUERN_CHECK_OK(budget_.spend(closure.set.size() + 1));
  Types types = kAnyType;
  for (const uint32_t element : closure.set) types &= node_of(element).types;
  if (closure.never || types == 0) return text_.never();
  if (closure.set.empty()) return text_.any();
  const auto [at, fresh] = rules_.try_emplace(std::move(closure.set));
  if (!fresh) return at->second;
  if (rules_.size() > kMaxSets) {
    return fail_f(ErrorCode::kResource, "{}: the schema has more than {} combinations of schemas",
                  schema_.place(*node_of(at->first.front()).value), kMaxSets);
  }
  at->second = to_.rule();
  waiting_.emplace_back(at->second, &at->first);
  return at->second;
}

Status Compiler::define(Symbol rule, const Set& set) {
  if (const Node* listed = listing(set)) {
    QUERN_TRY(const std::vector<const Value*> values, listed_values(set, *listed));
    return literals(rule, values);
  }
  for (size_t i = 0; i < set.size(); ++i) {
    const Node& node = node_of(set[i]);
    if (!node.any_of.empty() && (set[i] & kAnyOfTaken) == 0) return branch(rule, set, i, /*any_of=*/true);
    if (!node.one_of.empty() && (set[i] & kOneOfTaken) == 0) return branch(rule, set, i, /*any_of=*/false);
  }

  const Facts facts = facts_of(set);
  if ((facts.types & kNull) != 0) to_.add(rule, {to_.literal("null")});
  if ((facts.types & kBoolean) != 0) {
    to_.add(rule, {to_.literal("true")});
    to_.add(rule, {to_.literal("false")});
  }
  using Write = Result<Symbol> (Compiler::*)(const Facts&);
  constexpr std::pair<Types, Write> kWriters[] = {{kNumber, &Compiler::number},
                                                  {kString, &Compiler::string},
                                                  {kArray, &Compiler::array},
                                                  {kObject, &Compiler::object}};
  for (const auto& [types, write] : kWriters) {
    if ((facts.types & types) == 0) continue;
    QUERN_TRY(const Symbol written, (this->*write)(facts));
    to_.add(rule, {written});
  }
  return {};
}

// The set's anyOf or oneOf at `at`: a rule for each branch.
Status Compiler::branch(Symbol rule, const Set& set, size_t at, bool any_of) {
  const Node& node = node_of(set[at]);
  const std::vector<const Value*>& branches = any_of ? node.any_of : node.one_of;
  if (!any_of && warned_.insert(node.value->id).second) {
    QUERN_TRY(const bool differ, branches_differ(branches));
    if (!differ) {
      warnings_.push_back(schema_.place(*node.value) +
                          ": oneOf is read as anyOf: a value may satisfy more than one of its branches");
    }
  }
  std::set<Symbol> written;
  for (const Value* schema : branches) {
    Closure closure{.set = set, .seen = {}, .never = false};
    if (any_of && !node.asserts && node.one_of.empty()) {
      closure.set.erase(closure.set.begin() + static_cast<ptrdiff_t>(at));  // it has nothing more to say
    } else {
      closure.set[at] |= any_of ? kAnyOfTaken : kOneOfTaken;
    }
    QUERN_CHECK_OK(close(*schema, closure));
    QUERN_TRY(const Symbol made, rule_of(std::move(closure)));
    if (written.insert(made).second) to_.add(rule, {made});
  }
  return {};
}

namespace {

template <class T>
void add_once(std::vector<const Value*>& to, const T& value) {
  if (value == nullptr) return;
  const auto same = [&](const Value* known) { return known->text == value->text; };
  if (std::none_of(to.begin(), to.end(), same)) to.push_back(value);
}

// The greater of two lower bounds (or, with `sign` -1, the lesser of two upper ones); an open one is the narrower of
// equals.
void tighten(std::optional<Decimal>& bound, bool& open, const std::optional<Decimal>& other, bool other_open,
             int sign) {
  if (!other) return;
  const auto order = bound ? *other <=> *bound : std::strong_ordering::equal;
  const bool narrower = !bound || (sign > 0 ? order > 0 : order < 0);
  if (narrower) {
    bound = other;
    open = other_open;
  } else if (order == 0) {
    open |= other_open;
  }
}

}  // namespace

Facts Compiler::facts_of(const Set& set) const {
  Facts facts;
  Types about = 0;
  bool typed = false;
  for (const uint32_t element : set) {
    const Node& n = node_of(element);
    facts.nodes.push_back(&n);
    facts.types &= n.types;
    typed |= n.typed;
    about |= n.about;
    tighten(facts.least, facts.least_open, n.minimum, false, 1);
    tighten(facts.least, facts.least_open, n.above, true, 1);
    tighten(facts.most, facts.most_open, n.maximum, false, -1);
    tighten(facts.most, facts.most_open, n.below, true, -1);
    if (n.multiple_of) facts.multiples.push_back(&n);
    add_once(facts.patterns, n.pattern);
    add_once(facts.formats, n.format);
    facts.min_length = std::max(facts.min_length, n.min_length);
    facts.max_length = std::min(facts.max_length, n.max_length);
    facts.min_items = std::max(facts.min_items, n.min_items);
    facts.max_items = std::min(facts.max_items, n.max_items);
    facts.min_properties = std::max(facts.min_properties, n.min_properties);
    facts.max_properties = std::min(facts.max_properties, n.max_properties);
  }
  // Without a type, `properties` means an object: who writes it has no number in mind, which it would let through.
  if (!typed && about != 0) facts.types &= about;
  return facts;
}

// Of the set's schemas with enum or const the one with the fewest values; nullptr: there is none.
const Node* Compiler::listing(const Set& set) const {
  const auto n_values = [](const Node& n) { return n.constant != nullptr ? 1 : n.enumeration->items.size(); };
  const Node* fewest = nullptr;
  for (const uint32_t element : set) {
    const Node& node = node_of(element);
    if (node.constant == nullptr && node.enumeration == nullptr) continue;
    if (fewest == nullptr || n_values(node) < n_values(*fewest)) fewest = &node;
  }
  return fewest;
}

// Its values that satisfy all of the set.
Result<std::vector<const Value*>> Compiler::listed_values(const Set& set, const Node& listed) {
  std::vector<const Value*> values;
  for (const Value& value :
       listed.constant != nullptr ? std::span(listed.constant, 1) : std::span<const Value>(listed.enumeration->items)) {
    bool good = true;
    for (size_t i = 0; i < set.size() && good; ++i) {
      const Node& node = node_of(set[i]);
      QUERN_TRY(good, validator_.accepts(value, *node.value, /*listed=*/&node == &listed));
    }
    if (good) values.push_back(&value);
  }
  return values;
}

Status Compiler::literals(Symbol rule, const std::vector<const Value*>& values) {
  std::vector<const Value*> strings;
  for (const Value* value : values) {
    if (value->is(Kind::kString)) {
      strings.push_back(value);
    } else {
      to_.add(rule, {json_literal(to_json(*value), to_)});
    }
  }
  return add_strings(rule, strings);
}

// Many strings share their beginnings, so that what may come next is found in one place.
Status Compiler::add_strings(Symbol rule, const std::vector<const Value*>& strings) {
  if (strings.size() > 1) {
    std::vector<std::string_view> texts;
    for (const Value* value : strings) texts.push_back(value->text);
    if (const auto dfa = Dfa::texts(texts)) {
      const Symbol quote = to_.literal("\"");
      to_.add(rule, {quote, dfa->minimal().write_json(to_), quote});
      return {};
    }
  }
  for (const Value* value : strings) to_.add(rule, {json_literal(json_quoted(value->text), to_)});
  return {};
}

}  // namespace quern::grammar::schema
