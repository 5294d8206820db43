// Whether the branches of a oneOf exclude each other, so that reading it as anyOf changes nothing.
#include <algorithm>
#include <span>

#include "grammar/schema/compile.h"

namespace quern::grammar::schema {
namespace {

constexpr size_t kMaxBranches = 64;  // that are compared with each other

// The types of the set's values: those of listed values where there are some.
Types types_of(const std::vector<const Node*>& nodes) {
  Types types = kAnyType;
  for (const Node* node : nodes) {
    types &= node->types;
    Types listed = node->constant != nullptr ? type_of(*node->constant) : Types{0};
    if (node->enumeration != nullptr) {
      for (const Value& value : node->enumeration->items) listed |= type_of(value);
    }
    if (node->constant != nullptr || node->enumeration != nullptr) types &= listed;
  }
  return types;
}

const Value* property_of(const std::vector<const Node*>& nodes, std::string_view name) {
  for (const Node* node : nodes) {
    const Value* const schema = node->properties == nullptr ? nullptr : node->properties->find(name);
    if (schema != nullptr) return schema;
  }
  return nullptr;
}

}  // namespace

Result<bool> Compiler::branches_differ(const std::vector<const Value*>& branches) {
  if (branches.size() > kMaxBranches) return false;
  for (size_t i = 0; i < branches.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      QUERN_TRY(const bool apart, differ(*branches[i], *branches[j], 0));
      if (!apart) return false;
    }
  }
  return true;
}

Result<bool> Compiler::differ(const Value& a, const Value& b, unsigned depth) {
  std::vector<const Node*> nodes[2];
  Closure closures[2];
  for (int side = 0; side < 2; ++side) {
    QUERN_CHECK_OK(close(side == 0 ? a : b, closures[side]));
    if (closures[side].never) return true;
    for (const uint32_t element : closures[side].set) nodes[side].push_back(&node_of(element));
  }
  if ((types_of(nodes[0]) & types_of(nodes[1])) == 0) return true;
  // Listed values that the other side does not take.
  for (int side = 0; side < 2; ++side) {
    for (const Node* node : nodes[side]) {
      if (node->constant == nullptr && node->enumeration == nullptr) continue;
      bool taken = false;
      const auto values =
          node->constant != nullptr ? std::span(node->constant, 1) : std::span<const Value>(node->enumeration->items);
      for (size_t i = 0; i < values.size() && !taken; ++i) {
        QUERN_TRY(taken, validator_.accepts(values[i], side == 0 ? b : a));
      }
      if (!taken) return true;
    }
  }
  constexpr unsigned kMaxNested = 2;
  const Types both = types_of(nodes[0]) & types_of(nodes[1]);
  if (both != kObject || depth == kMaxNested) return false;
  // Objects: a name that both must have, with values that differ.
  std::set<std::string_view> required;
  for (const Node* node : nodes[0]) required.insert(node->required.begin(), node->required.end());
  for (const Node* node : nodes[1]) {
    for (const std::string_view name : node->required) {
      const Value* const left = property_of(nodes[0], name);
      const Value* const right = property_of(nodes[1], name);
      if (!required.contains(name) || left == nullptr || right == nullptr) continue;
      QUERN_TRY(const bool apart, differ(*left, *right, depth + 1));
      if (apart) return true;
    }
  }
  return false;
}

}  // namespace quern::grammar::schema
