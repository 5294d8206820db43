// Numbers and strings of a set of schemas.
#include <algorithm>

#include "grammar/number_range.h"
#include "grammar/schema/compile.h"
#include "grammar/schema/multiples.h"

namespace quern::grammar::schema {
namespace {

// A name under which what was made of these facts is found again.
std::string key_of(const Facts& facts) {
  std::string key;
  for (const auto* list : {&facts.patterns, &facts.formats}) {
    for (const Value* value : *list) key += json_quoted(value->text) + ',';
    key += ';';
  }
  return fmt::format("s{}{},{}", key, facts.min_length, facts.max_length);
}

}  // namespace

Result<Symbol> Compiler::number(const Facts& facts) {
  bool integer = (facts.types & kFraction) == 0;
  std::vector<Decimal> units;
  for (const Node* node : facts.multiples) {
    const auto power = node->multiple_of->power_of_ten();
    if (power == 0) integer = true;
    if (power != 0) units.push_back(*node->multiple_of);
  }
  if (integer) {
    std::erase_if(units, [](const Decimal& unit) { return Decimal::of("1").multiple_of(unit) == true; });
  }
  NumberRange range{.least = {}, .most = {}, .least_open = facts.least_open, .most_open = facts.most_open};
  if (facts.least) range.least = facts.least->plain();
  if (facts.most) range.most = facts.most->plain();
  const Node& place = *facts.nodes.front();
  if ((facts.least && !range.least) || (facts.most && !range.most)) {
    return placed<Symbol>(place, fail(ErrorCode::kUnsupported, "a bound has too many digits"));
  }
  if (!units.empty()) {
    return placed(*facts.multiples.front(), add_multiples(units, range, integer, to_));
  }
  const std::string key = fmt::format("n{}{}{}{},{}", integer, range.least_open, range.most_open,
                                      range.least.value_or("-"), range.most.value_or("-"));
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  const bool bounded = range.least || range.most;
  QUERN_TRY(const Symbol written, bounded   ? placed(place, add_number_range(range, integer, to_))
                                  : integer ? Result<Symbol>(add_integer(to_))
                                            : Result<Symbol>(add_number(to_)));
  made_.emplace(key, written);
  return written;
}

Result<Symbol> Compiler::string(const Facts& facts) {
  if (facts.patterns.empty() && facts.formats.empty()) return text_.string(facts.min_length, facts.max_length);
  if (facts.max_length < facts.min_length) return text_.never();
  const auto [at, fresh] = made_.try_emplace(key_of(facts));
  if (!fresh) return at->second;
  QUERN_TRY(const Dfa texts, string_set(facts));
  const Symbol quote = to_.literal("\"");
  return at->second = to_.sequence({quote, texts.write_json(to_), quote});
}

// The texts that its strings may have: patterns, formats and length at once.
Result<Dfa> Compiler::string_set(const Facts& facts) {
  std::vector<const Dfa*> sets;
  for (const Value* pattern : facts.patterns) {
    QUERN_TRY(sets.emplace_back(), texts_.pattern(*pattern));
  }
  for (const Value* format : facts.formats) {
    QUERN_TRY(sets.emplace_back(), texts_.format(*format));
  }
  const Node& place = *facts.nodes.front();
  Dfa all = Dfa::any();
  for (size_t i = 0; i < sets.size(); ++i) {
    QUERN_TRY(all, i == 0 ? Result<Dfa>(*sets[i]) : placed(place, Dfa::intersection(all, *sets[i])));
    QUERN_CHECK_OK(budget_.spend_states(all.states().size()));
  }
  if (facts.min_length > 0 || facts.max_length != kNoLimit) {
    QUERN_TRY(all, placed(place, all.of_length(facts.min_length, facts.max_length)));
    QUERN_CHECK_OK(budget_.spend_states(all.states().size()));
  }
  return all;
}

}  // namespace quern::grammar::schema
