// Arrays and objects of a set of schemas.
#include <algorithm>
#include <unordered_set>

#include "grammar/json_spelling.h"
#include "grammar/schema/compile.h"

namespace quern::grammar::schema {
namespace {

// Items or members beyond those that must be there, where a bound asks for a chain of rules.
constexpr size_t kMaxChosen = 4096;

}  // namespace

// Where the items are counted, a rule for each count; where they are not any more, one that goes on.
Result<Symbol> Compiler::array(const Facts& facts) {
  if (facts.max_items < facts.min_items) return text_.never();
  size_t n_prefix = 0;
  for (const Node* node : facts.nodes) {
    n_prefix = std::max(n_prefix, node->prefix_items.size());
    if (node->unique_items != nullptr && facts.max_items > 1) return unique_array(facts, *node);
  }
  const bool loops = facts.max_items == kNoLimit;
  const size_t counted = std::max(facts.min_items, n_prefix);
  if (counted > IrBuilder::kMaxSymbols) {
    return placed<Symbol>(*facts.nodes.front(), fail(ErrorCode::kResource, "minItems is too large"));
  }
  const size_t last = loops ? std::max<size_t>(counted, 1) : std::min(facts.max_items, counted + kMaxChosen);
  QUERN_CHECK_OK(budget_.spend(last + n_prefix * facts.nodes.size()));
  if (last == 0) return to_.literal("[]");

  const auto item = [&](size_t i) {
    std::vector<const Value*> schemas;
    for (const Node* node : facts.nodes) {
      const Value* const schema = i < node->prefix_items.size() ? node->prefix_items[i] : node->items;
      if (schema != nullptr) schemas.push_back(schema);
    }
    return rule_for(schemas);
  };
  QUERN_TRY(const Symbol rest, item(n_prefix));
  const Symbol end = to_.sequence({text_.space(), to_.literal("]")});
  Symbol after = end;  // what follows the last item that is counted, then the one before, ...
  if (loops) {
    after = to_.rule();
    to_.add(after, {end});
    to_.add(after, {text_.comma(), rest, after});
  }
  for (size_t i = last; i > 0; --i) {
    QUERN_TRY(const Symbol value, i - 1 < n_prefix ? item(i - 1) : Result<Symbol>(rest));
    const Symbol before = to_.rule();  // after i - 1 items
    if (i - 1 >= facts.min_items) to_.add(before, {i == 1 ? to_.literal("]") : end});
    to_.add(before, {i == 1 ? text_.space() : text_.comma(), value, after});
    after = before;
  }
  return to_.sequence({to_.literal("["), after});
}

// Items that are listed (by enum) can be kept from coming twice: they come in the order in which they are listed.
Result<Symbol> Compiler::unique_array(const Facts& facts, const Node& unique) {
  Closure items;
  bool prefix = false;
  for (const Node* node : facts.nodes) {
    prefix |= !node->prefix_items.empty();
    if (node->items != nullptr) QUERN_CHECK_OK(close(*node->items, items));
  }
  const Node* const listed = listing(items.set);
  if (prefix || (!items.never && listed == nullptr)) {
    return fail_f(ErrorCode::kUnsupported,
                  "{}: the keyword \"uniqueItems\" is not supported where the items have no enum",
                  schema_.place(*unique.value));
  }
  std::vector<const Value*> values;
  if (!items.never) {
    QUERN_TRY(values, listed_values(items.set, *listed));
  }
  std::vector<Item> texts;
  for (size_t i = 0; i < values.size(); ++i) {
    bool known = false;
    for (size_t j = 0; j < i && !known; ++j) {
      QUERN_TRY(known, validator_.equal(*values[i], *values[j]));
    }
    if (!known) texts.push_back({json_literal(to_json(*values[i]), to_), /*required=*/false});
  }
  if (facts.min_items > texts.size()) return text_.never();
  const Symbol end = to_.sequence({text_.space(), to_.literal("]")});
  const size_t counted = std::max<size_t>({1, facts.min_items, facts.max_items < texts.size() ? facts.max_items : 0});
  QUERN_CHECK_OK(budget_.spend(texts.size() * counted));
  std::vector<Symbol> after;
  for (size_t written = 0; written <= counted; ++written) {
    after.push_back(written < facts.min_items ? text_.never() : written == 0 ? to_.literal("]") : end);
  }
  return to_.sequence({to_.literal("["), in_order(texts, std::move(after), facts.max_items)});
}

// Items in the order given, with commas, at most so many; those that are not required may be left out. after[n]: what
// follows n of them, the last one also more. A rule for each place in the list and number of items written so far, as
// far as that matters: from the last place back to the first.
Symbol Compiler::in_order(const std::vector<Item>& items, std::vector<Symbol> after, size_t most) {
  const size_t counted = after.size() - 1;
  for (size_t i = items.size(); i > 0; --i) {
    std::vector<Symbol> before;
    for (size_t written = 0; written <= std::min(i - 1, counted); ++written) {
      const Symbol rule = before.emplace_back(to_.rule());
      if (written < most) {
        const Symbol lead = written == 0 ? text_.space() : text_.comma();
        to_.add(rule, {lead, items[i - 1].text, after[std::min(written + 1, counted)]});
      }
      if (!items[i - 1].required) to_.add(rule, {after[written]});
    }
    after = std::move(before);
  }
  return after.front();
}

// What an object's members may be: the listed ones in order, then others.
struct Compiler::Members {
  struct Member {
    std::string_view name;
    Symbol value;
    bool required;
  };
  std::vector<Member> listed;
  std::vector<std::string_view> names;  // of the listed ones and those that must not be there
  std::optional<Symbol> others;         // any other: name, colon and value
  size_t least = 0, most = kNoLimit;
};

// The value of a listed name, as all schemas ask; never() where the name must not be there.
Result<Symbol> Compiler::value_of(std::string_view name, const Facts& facts) {
  std::vector<const Value*> all;
  Value text;
  text.kind = Value::Kind::kString;
  text.text = name;
  for (const Node* node : facts.nodes) {
    QUERN_CHECK_OK(budget_.spend(1));
    if (node->property_names != nullptr) {
      QUERN_TRY(const bool good, validator_.accepts(text, *node->property_names));
      if (!good) return text_.never();
    }
    QUERN_TRY(const std::vector<const Value*> schemas, schemas_of_member(text.text, *node, texts_));
    all.insert(all.end(), schemas.begin(), schemas.end());
  }
  return rule_for(all);
}

Result<Compiler::Members> Compiler::members_of(const Facts& facts) {
  Members members{.listed = {}, .names = {}, .others = {}, .least = facts.min_properties, .most = facts.max_properties};
  std::unordered_set<std::string_view> known, required;
  bool lists = false, asks = false;  // `properties` or `patternProperties`; `additionalProperties`
  const auto add_name = [&](std::string_view name) {
    if (known.insert(name).second) members.names.push_back(name);
  };
  for (const Node* node : facts.nodes) {
    asks |= node->additional != nullptr;
    for (const Value* properties : {node->properties, node->pattern_properties}) {
      lists |= properties != nullptr && !properties->names.empty();
    }
    if (node->properties == nullptr) continue;
    for (const std::string& name : node->properties->names) add_name(name);
  }
  for (const Node* node : facts.nodes) {
    required.insert(node->required.begin(), node->required.end());
    for (const std::string_view name : node->required) add_name(name);
  }
  for (const std::string_view name : members.names) {
    QUERN_TRY(const Symbol value, value_of(name, facts));
    const bool needed = required.contains(name);
    if (value != text_.never() || needed) members.listed.push_back({name, value, needed});
  }
  // Where properties are listed and nothing is said of others, none are written, unless there must be more than listed.
  QUERN_CHECK_OK(add_others(facts, asks || !lists || members.least > members.listed.size(), members));
  return members;
}

// `unmatched`: also those that no pattern speaks of.
Status Compiler::add_others(const Facts& facts, bool unmatched, Members& members) {
  const auto speaks = [](const Node* node) {
    return node->pattern_properties != nullptr || node->property_names != nullptr;
  };
  const bool plain = members.names.empty() && std::none_of(facts.nodes.begin(), facts.nodes.end(), speaks);
  std::vector<Names> classes;
  if (plain) {
    classes.push_back({.texts = Dfa::any(), .schemas = {}, .nodes = {}});
  } else {
    QUERN_TRY(classes, other_names(facts, members.names));
  }
  std::vector<Symbol> pairs;
  for (const Names& names : classes) {
    if (names.schemas.empty() && !unmatched) continue;
    std::vector<const Value*> schemas = names.schemas;
    for (const Node* node : facts.nodes) {
      const bool matched = std::find(names.nodes.begin(), names.nodes.end(), node) != names.nodes.end();
      if (node->additional != nullptr && !matched) schemas.push_back(node->additional);
    }
    QUERN_TRY(const Symbol value, rule_for(schemas));
    if (value == text_.never()) continue;
    const Symbol quote = to_.literal("\"");
    const Symbol name = plain ? text_.string() : to_.sequence({quote, names.texts.write_json(to_), quote});
    pairs.push_back(text_.pair(name, value));
  }
  if (!pairs.empty()) members.others = to_.choice(pairs);
  return {};
}

// [k]: up to k more members and the end; without a bound, [0] is any number of them.
std::vector<Symbol> Compiler::more_members(Symbol pair, size_t most) {
  std::vector<Symbol> more;
  const Symbol end = to_.sequence({text_.space(), to_.literal("}")});
  if (most == kNoLimit) {
    more.push_back(to_.rule());
    to_.add(more[0], {end});
    to_.add(more[0], {text_.comma(), pair, more[0]});
    return more;
  }
  more.push_back(end);
  while (more.size() < std::min(most, kMaxChosen)) {
    const Symbol before = to_.rule();
    to_.add(before, {end});
    to_.add(before, {text_.comma(), pair, more.back()});
    more.push_back(before);
  }
  return more;
}

Result<Symbol> Compiler::object(const Facts& facts) {
  if (facts.max_properties < facts.min_properties) return text_.never();
  QUERN_TRY(const Members members, members_of(facts));
  // Others may have the same name, so that only one of them counts for certain.
  if (members.others && members.least > members.listed.size() + 1) {
    return fail_f(ErrorCode::kUnsupported,
                  "{}: the keyword \"minProperties\" is not supported where more members must be there than are listed",
                  schema_.place(*facts.nodes.front()->value));
  }
  if (members.least > members.listed.size() + (members.others ? 1 : 0)) return text_.never();
  return write_members(members);
}

Result<Symbol> Compiler::write_members(const Members& members) {
  const size_t n = members.listed.size();
  const size_t most = members.others || members.most < n ? members.most : kNoLimit;
  const size_t counted = std::max<size_t>({1, members.least, most == kNoLimit ? 0 : std::min(most, n)});
  QUERN_CHECK_OK(budget_.spend((n + 1) * (counted + 1)));
  const std::optional<Symbol> pair = members.others;
  const Symbol end = to_.sequence({text_.space(), to_.literal("}")});
  const std::vector<Symbol> more = pair ? more_members(*pair, most) : std::vector<Symbol>();
  std::vector<Symbol> after;  // by the number of listed members written
  for (size_t written = 0; written <= counted; ++written) {
    const Symbol rule = after.emplace_back(to_.rule());
    if (written >= members.least) to_.add(rule, {written == 0 ? to_.literal("}") : end});
    if (!pair || written >= most || written + 1 < members.least) continue;
    const Symbol rest = more[most == kNoLimit ? 0 : std::min(most - written - 1, more.size() - 1)];
    to_.add(rule, {written == 0 ? text_.space() : text_.comma(), *pair, rest});
  }
  std::vector<Item> items;
  for (const Members::Member& member : members.listed) {
    items.push_back({text_.pair(json_literal(json_quoted(member.name), to_), member.value), member.required});
  }
  return to_.sequence({to_.literal("{"), in_order(items, std::move(after), most)});
}

}  // namespace quern::grammar::schema
