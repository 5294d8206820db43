#include "grammar/schema/validate.h"

#include <algorithm>

#include "grammar/formats.h"
#include "grammar/regex.h"

namespace quern::grammar::schema {

using Kind = Value::Kind;

Result<const Dfa*> TextSets::keep(std::string key, Result<Dfa> made, const Value& at) {
  if (!made) return fail_f(made.error().code, "{}: {}", schema_.place(at), made.error().message);
  QUERN_CHECK_OK(budget_.spend_states(made->states().size()));
  return &made_.emplace(std::move(key), std::move(*made)).first->second;
}

Result<const Dfa*> TextSets::pattern(const std::string& pattern, const Value& at) {
  std::string key = "p" + pattern;
  if (const auto known = made_.find(key); known != made_.end()) return &known->second;
  return keep(std::move(key), regex_dfa(pattern), at);
}

Result<const Dfa*> TextSets::format(const Value& format) {
  std::string key = "f" + format.text;
  if (const auto known = made_.find(key); known != made_.end()) return &known->second;
  return keep(std::move(key), format_dfa(format.text), format);
}

size_t characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

Types type_of(const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      return kNull;
    case Kind::kFalse:
    case Kind::kTrue:
      return kBoolean;
    case Kind::kNumber:
      return Decimal::of(value.text).integer() ? kInteger : kFraction;
    case Kind::kString:
      return kString;
    case Kind::kArray:
      return kArray;
    case Kind::kObject:
      return kObject;
  }
  return 0;
}

Result<std::vector<const Value*>> schemas_of_member(const std::string& name, const Node& node, TextSets& texts) {
  std::vector<const Value*> schemas;
  const Value* const listed = node.properties == nullptr ? nullptr : node.properties->find(name);
  if (listed != nullptr) schemas.push_back(listed);
  const Value* const patterns = node.pattern_properties;
  for (size_t i = 0; patterns != nullptr && i < patterns->items.size(); ++i) {
    QUERN_TRY(const Dfa* names, texts.pattern(patterns->names[i], patterns->items[i]));
    if (names->matches(name)) schemas.push_back(&patterns->items[i]);
  }
  if (schemas.empty() && node.additional != nullptr) schemas.push_back(node.additional);
  return schemas;
}

Result<bool> Validator::accepts(const Value& instance, const Value& schema, bool listed) {
  QUERN_CHECK_OK(budget_.spend(1));
  QUERN_TRY(const Node* node, schema_.node(schema));
  if (node->never || (node->types & type_of(instance)) == 0) return false;
  if (depth_ == kMaxDepth)
    return fail_f(ErrorCode::kResource, "{}: nested too deep to compare values", schema_.place(schema));
  ++depth_;
  using Part = Result<bool> (Validator::*)(const Value&, const Node&);
  const bool known = listed && (node->enumeration == nullptr || node->constant == nullptr);
  Result<bool> verdict = true;
  for (const Part part : {&Validator::applied, &Validator::listed, &Validator::number, &Validator::string,
                          &Validator::array, &Validator::object}) {
    if (known && part == &Validator::listed) continue;
    verdict = (this->*part)(instance, *node);
    if (!verdict || !*verdict) break;
  }
  --depth_;
  return verdict;
}

// $ref, allOf, anyOf, oneOf.
Result<bool> Validator::applied(const Value& instance, const Node& node) {
  std::vector<const Value*> all = node.all_of;
  if (node.ref != nullptr) all.push_back(node.ref);
  for (const Value* schema : all) {
    QUERN_TRY(const bool good, accepts(instance, *schema));
    if (!good) return false;
  }
  bool any = node.any_of.empty();
  for (size_t i = 0; i < node.any_of.size() && !any; ++i) {
    QUERN_TRY(any, accepts(instance, *node.any_of[i]));
  }
  size_t n = node.one_of.empty() ? 1 : 0;
  for (const Value* schema : node.one_of) {
    QUERN_TRY(const bool good, accepts(instance, *schema));
    n += good ? 1 : 0;
  }
  return any && n == 1;
}

Result<bool> Validator::listed(const Value& instance, const Node& node) {
  if (node.constant != nullptr) {
    QUERN_TRY(const bool same, equal(instance, *node.constant));
    if (!same) return false;
  }
  if (node.enumeration == nullptr) return true;
  for (const Value& value : node.enumeration->items) {
    QUERN_TRY(const bool same, equal(instance, value));
    if (same) return true;
  }
  return false;
}

Result<bool> Validator::number(const Value& instance, const Node& node) {
  if (!instance.is(Kind::kNumber) || (node.about & kNumber) == 0) return true;
  const Decimal number = Decimal::of(instance.text);
  if ((node.minimum && number < *node.minimum) || (node.above && number <= *node.above) ||
      (node.maximum && number > *node.maximum) || (node.below && number >= *node.below)) {
    return false;
  }
  if (!node.multiple_of) return true;
  const auto multiple = number.multiple_of(*node.multiple_of);
  if (!multiple) {
    return fail_f(ErrorCode::kUnsupported, "{}: multipleOf has too many digits", schema_.place(*node.value));
  }
  return *multiple;
}

Result<bool> Validator::string(const Value& instance, const Node& node) {
  if (!instance.is(Kind::kString) || (node.about & kString) == 0) return true;
  QUERN_CHECK_OK(budget_.spend(instance.text.size()));
  const size_t n = characters(instance.text);
  if (n < node.min_length || n > node.max_length) return false;
  if (node.pattern != nullptr) {
    QUERN_TRY(const Dfa* texts, texts_.pattern(*node.pattern));
    if (!texts->matches(instance.text)) return false;
  }
  if (node.format == nullptr) return true;
  QUERN_TRY(const Dfa* texts, texts_.format(*node.format));
  return texts->matches(instance.text);
}

Result<bool> Validator::array(const Value& instance, const Node& node) {
  if (!instance.is(Kind::kArray) || (node.about & kArray) == 0) return true;
  const size_t n = instance.items.size();
  if (n < node.min_items || n > node.max_items) return false;
  for (size_t i = 0; i < n; ++i) {
    const Value* const schema = i < node.prefix_items.size() ? node.prefix_items[i] : node.items;
    if (schema == nullptr) break;
    QUERN_TRY(const bool good, accepts(instance.items[i], *schema));
    if (!good) return false;
  }
  if (node.unique_items == nullptr) return true;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      QUERN_TRY(const bool same, equal(instance.items[i], instance.items[j]));
      if (same) return false;
    }
  }
  return true;
}

Result<bool> Validator::object(const Value& instance, const Node& node) {
  if (!instance.is(Kind::kObject) || (node.about & kObject) == 0) return true;
  const size_t n = instance.items.size();
  if (n < node.min_properties || n > node.max_properties) return false;
  QUERN_CHECK_OK(budget_.spend(node.required.size()));
  for (const std::string_view name : node.required) {
    if (instance.find(name) == nullptr) return false;
  }
  for (size_t i = 0; i < n; ++i) {
    QUERN_TRY(const bool good, member(instance.names[i], instance.items[i], node));
    if (!good) return false;
  }
  return true;
}

Result<bool> Validator::member(const std::string& name, const Value& value, const Node& node) {
  if (node.property_names != nullptr) {
    Value text;
    text.kind = Kind::kString;
    text.text = name;
    QUERN_TRY(const bool good, accepts(text, *node.property_names));
    if (!good) return false;
  }
  QUERN_TRY(const std::vector<const Value*> schemas, schemas_of_member(name, node, texts_));
  for (const Value* schema : schemas) {
    QUERN_TRY(const bool good, accepts(value, *schema));
    if (!good) return false;
  }
  return true;
}

Result<bool> Validator::equal(const Value& a, const Value& b) {
  QUERN_CHECK_OK(budget_.spend(1));
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  if (a.is(Kind::kNumber)) return Decimal::of(a.text) == Decimal::of(b.text);
  if (a.is(Kind::kString)) return a.text == b.text;
  for (size_t i = 0; i < a.items.size(); ++i) {
    const Value* const other = a.is(Kind::kObject) ? b.find(a.names[i]) : &b.items[i];
    if (other == nullptr) return false;
    QUERN_TRY(const bool same, equal(a.items[i], *other));
    if (!same) return false;
  }
  return true;
}

}  // namespace quern::grammar::schema
