// The names that an object's members may have beyond the listed ones.
#include <algorithm>

#include "grammar/schema/compile.h"

namespace quern::grammar::schema {

namespace {

constexpr size_t kMaxClasses = 64;

}  // namespace

// All but the listed ones, as propertyNames says.
Result<Dfa> Compiler::allowed_names(const Facts& facts, const std::vector<std::string_view>& listed) {
  const Node& place = *facts.nodes.front();
  QUERN_TRY(const Dfa unlisted, placed(place, Dfa::texts(listed)));
  QUERN_TRY(Dfa names, placed(place, unlisted.complement()));
  Closure closure;
  const Node* asks = nullptr;
  for (const Node* node : facts.nodes) {
    if (node->property_names == nullptr) continue;
    asks = node;
    QUERN_CHECK_OK(close(*node->property_names, closure));
  }
  if (asks == nullptr) return names;
  const Facts texts = facts_of(closure.set);
  if (closure.never || (texts.types & kString) == 0 || texts.max_length < texts.min_length) {
    return Dfa::texts(std::span<const std::string_view>());
  }
  for (const Node* node : texts.nodes) {
    if (node->any_of.empty() && node->one_of.empty() && node->enumeration == nullptr && node->constant == nullptr)
      continue;
    return fail_f(ErrorCode::kUnsupported,
                  "{}: the keyword \"propertyNames\" is not supported with anyOf, oneOf, enum or const",
                  schema_.place(*asks->value));
  }
  if (texts.nodes.empty()) return names;
  QUERN_TRY(const Dfa asked, string_set(texts));
  return placed(place, Dfa::intersection(names, asked));
}

// By the patterns of patternProperties that they match; no name is in two of them.
Result<std::vector<Names>> Compiler::other_names(const Facts& facts, const std::vector<std::string_view>& listed) {
  QUERN_TRY(Dfa all, allowed_names(facts, listed));
  std::vector<Names> classes;
  if (!all.empty()) classes.push_back({.texts = std::move(all), .schemas = {}, .nodes = {}});
  for (const Node* node : facts.nodes) {
    const Value* const patterns = node->pattern_properties;
    for (size_t i = 0; patterns != nullptr && i < patterns->items.size(); ++i) {
      QUERN_TRY(const Dfa* matching, texts_.pattern(patterns->names[i], patterns->items[i]));
      QUERN_TRY(const Dfa others, placed(*node, matching->complement()));
      std::vector<Names> split;
      for (const Names& names : classes) {
        QUERN_TRY(const Dfa in, placed(*node, Dfa::intersection(names.texts, *matching)));
        QUERN_TRY(const Dfa out, placed(*node, Dfa::intersection(names.texts, others)));
        QUERN_CHECK_OK(budget_.spend_states(in.states().size() + out.states().size()));
        if (!in.empty()) {
          Names& matched = split.emplace_back(Names{.texts = in, .schemas = names.schemas, .nodes = names.nodes});
          matched.schemas.push_back(&patterns->items[i]);
          matched.nodes.push_back(node);
        }
        if (!out.empty()) split.push_back({.texts = out, .schemas = names.schemas, .nodes = names.nodes});
      }
      classes = std::move(split);
      if (classes.size() > kMaxClasses) {
        return fail_f(ErrorCode::kResource, "{}: the patterns of patternProperties overlap in too many ways",
                      schema_.place(*node->value));
      }
    }
  }
  return classes;
}

}  // namespace quern::grammar::schema
