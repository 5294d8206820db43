// Arrays and objects of a set of schemas.
#include <algorithm>
#include <unordered_set>

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
  const Node* unique = nullptr;
  for (const Node* node : facts.nodes) {
    n_prefix = std::max(n_prefix, node->prefix_items.size());
    if (node->unique_items != nullptr) unique = node;
  }
  if (unique != nullptr && facts.max_items > 1) {
    return fail_f(ErrorCode::kUnsupported, "{}: the keyword \"uniqueItems\" is not supported",
                  schema_.place(*unique->value));
  }
  const auto item = [&](size_t i) {
    std::vector<const Value*> schemas;
    for (const Node* node : facts.nodes) {
      const Value* const schema = i < node->prefix_items.size() ? node->prefix_items[i] : node->items;
      if (schema != nullptr) schemas.push_back(schema);
    }
    return rule_for(schemas);
  };
  QUERN_CHECK_OK(budget_.spend(n_prefix * facts.nodes.size()));
  QUERN_TRY(const Symbol rest, item(n_prefix));
  const size_t counted = std::max(facts.min_items, n_prefix);
  const bool loops = facts.max_items == kNoLimit;
  if (facts.min_items > IrBuilder::kMaxSymbols) {
    return fail_f(ErrorCode::kResource, "{}: minItems is too large", schema_.place(*facts.nodes.front()->value));
  }
  const size_t last = loops ? counted : std::min(facts.max_items, counted + kMaxChosen);
  QUERN_CHECK_OK(budget_.spend(last));

  const Symbol end = to_.sequence({text_.space(), to_.literal("]")});
  // after[i]: what follows i items; made from the last one back.
  Symbol after = end;
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
  if (last == 0) {
    after = to_.rule();
    to_.add(after, {to_.literal("]")});
    if (loops) {
      const Symbol more = to_.rule();
      to_.add(more, {end});
      to_.add(more, {text_.comma(), rest, more});
      to_.add(after, {text_.space(), rest, more});
    }
  }
  return to_.sequence({to_.literal("["), after});
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
  std::optional<Symbol> others;         // the value of any other
  size_t least = 0, most = kNoLimit;
};

Result<Compiler::Members> Compiler::members_of(const Facts& facts) {
  Members members{.listed = {}, .names = {}, .others = {}, .least = facts.min_properties, .most = facts.max_properties};
  std::unordered_set<std::string_view> known, required;
  bool lists = false, asks = false;  // `properties`, `additionalProperties`
  const auto add_name = [&](std::string_view name) {
    if (known.insert(name).second) members.names.push_back(name);
  };
  for (const Node* node : facts.nodes) {
    lists |= node->properties != nullptr && !node->properties->names.empty();
    asks |= node->additional != nullptr;
    if (node->properties == nullptr) continue;
    for (const std::string& name : node->properties->names) add_name(name);
  }
  for (const Node* node : facts.nodes) {
    required.insert(node->required.begin(), node->required.end());
    for (const std::string_view name : node->required) add_name(name);
  }
  std::vector<const Value*> schemas;
  for (const std::string_view name : members.names) {
    QUERN_CHECK_OK(budget_.spend(facts.nodes.size()));
    schemas.clear();
    for (const Node* node : facts.nodes) {
      const Value* schema = node->properties == nullptr ? nullptr : node->properties->find(name);
      if (schema == nullptr) schema = node->additional;
      if (schema != nullptr) schemas.push_back(schema);
    }
    QUERN_TRY(const Symbol value, rule_for(schemas));
    if (value != text_.never() || required.contains(name))
      members.listed.push_back({name, value, required.contains(name)});
  }
  schemas.clear();
  for (const Node* node : facts.nodes) {
    if (node->additional != nullptr) schemas.push_back(node->additional);
  }
  QUERN_TRY(const Symbol others, rule_for(schemas));
  // Where properties are listed and nothing is said of others, none are written, unless there must be more than listed.
  const bool wanted = asks || !lists || members.least > members.listed.size();
  if (wanted && others != text_.never()) members.others = others;
  return members;
}

Result<Symbol> Compiler::other_name(const Members& members) {
  if (members.names.empty()) return text_.string();
  auto names = Dfa::texts(members.names);
  if (names) names = names->complement();
  if (!names) return tl::unexpected<Error>(names.error());
  QUERN_CHECK_OK(budget_.spend(names->states().size()));
  const Symbol quote = to_.literal("\"");
  return to_.sequence({quote, names->minimal().write_json(to_), quote});
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
  auto written = write_members(members);
  if (written) return written;
  return fail_f(written.error().code, "{}: {}", schema_.place(*facts.nodes.front()->value), written.error().message);
}

// A rule for each place in the list of names and number of members written so far, as far as that matters: from the
// last place back to the first.
Result<Symbol> Compiler::write_members(const Members& members) {
  const size_t n = members.listed.size();
  const size_t most = members.others || members.most < n ? members.most : kNoLimit;
  const size_t counted = std::max<size_t>({1, members.least, most == kNoLimit ? 0 : std::min(most, n)});
  QUERN_CHECK_OK(budget_.spend((n + 1) * (counted + 1)));
  std::optional<Symbol> pair;
  if (members.others) {
    QUERN_TRY(const Symbol name, other_name(members));
    pair = text_.pair(name, *members.others);
  }
  const Symbol end = to_.sequence({text_.space(), to_.literal("}")});
  const std::vector<Symbol> more = pair ? more_members(*pair, most) : std::vector<Symbol>();
  std::vector<Symbol> after;  // by the number of members written
  for (size_t written = 0; written <= counted; ++written) {
    const Symbol rule = after.emplace_back(to_.rule());
    if (written >= members.least) to_.add(rule, {written == 0 ? to_.literal("}") : end});
    if (!pair || written >= most || written + 1 < members.least) continue;
    const Symbol rest = more[most == kNoLimit ? 0 : std::min(most - written - 1, more.size() - 1)];
    to_.add(rule, {written == 0 ? text_.space() : text_.comma(), *pair, rest});
  }
  for (size_t i = n; i > 0; --i) {
    const Members::Member& member = members.listed[i - 1];
    const Symbol this_pair = text_.pair(to_.literal(json_quoted(member.name)), member.value);
    std::vector<Symbol> before;
    for (size_t written = 0; written <= std::min(i - 1, counted); ++written) {
      const Symbol rule = before.emplace_back(to_.rule());
      if (written < most) {
        to_.add(rule, {written == 0 ? text_.space() : text_.comma(), this_pair, after[std::min(written + 1, counted)]});
      }
      if (!member.required) to_.add(rule, {after[written]});
    }
    after = std::move(before);
  }
  return to_.sequence({to_.literal("{"), after.front()});
}

}  // namespace quern::grammar::schema
