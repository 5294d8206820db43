#include "grammar/schema/node.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <span>

namespace quern::grammar::schema {
namespace {

using Kind = Value::Kind;

// One keyword of one schema.
struct Keyword {
  const Value& root;
  const Value& schema;
  const std::string& name;
  const Value& value;

  [[nodiscard]] tl::unexpected<Error> wrong(std::string_view what) const {
    return fail_f(ErrorCode::kInvalidArgument, "{}: {} {}", place_of(root, schema.id), name, what);
  }
  [[nodiscard]] tl::unexpected<Error> unsupported(std::string_view why = "") const {
    return fail_f(ErrorCode::kUnsupported, "{}: the keyword {} is not supported{}{}", place_of(root, schema.id),
                  json_quoted(name), why.empty() ? "" : ": ", why);
  }
};

bool is_schema(const Value& value) {
  return value.is(Kind::kObject) || value.is_boolean();
}

Status read_count(const Keyword& k, size_t& count) {
  const Decimal number = k.value.is(Kind::kNumber) ? Decimal::of(k.value.text) : Decimal();
  const auto plain = number.plain();
  if (!k.value.is(Kind::kNumber) || number.negative() || !number.integer() || !plain) {
    return k.wrong("must be a whole number of 0 or more");
  }
  const auto [end, error] = std::from_chars(plain->data(), plain->data() + plain->size(), count);
  if (error != std::errc()) count = kNoLimit;
  return {};
}

Status read_number(const Keyword& k, std::optional<Decimal>& number) {
  if (!k.value.is(Kind::kNumber)) return k.wrong("must be a number");
  number = Decimal::of(k.value.text);
  return {};
}

Status read_schema(const Keyword& k, const Value*& schema) {
  if (k.value.is(Kind::kArray) && k.name == "items") return k.wrong("is an array: draft 2020-12 writes prefixItems");
  if (!is_schema(k.value)) return k.wrong("must be a schema");
  schema = &k.value;
  return {};
}

Status read_schemas(const Keyword& k, std::vector<const Value*>& schemas) {
  if (!k.value.is(Kind::kArray) || k.value.items.empty()) return k.wrong("must be an array of schemas");
  for (const Value& item : k.value.items) {
    if (!is_schema(item)) return k.wrong("must be an array of schemas");
    schemas.push_back(&item);
  }
  return {};
}

Status read_text(const Keyword& k, const Value*& text) {
  if (!k.value.is(Kind::kString)) return k.wrong("must be a string");
  text = &k.value;
  return {};
}

Types type_named(std::string_view name) {
  constexpr std::pair<std::string_view, Types> kNames[] = {
      {"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger}, {"number", kNumber},
      {"string", kString}, {"array", kArray},     {"object", kObject},
  };
  for (const auto& [known, type] : kNames) {
    if (name == known) return type;
  }
  return 0;
}

Status read_type(const Keyword& k, Node& node) {
  const bool list = k.value.is(Kind::kArray);
  Types types = 0;
  for (const Value& name : list ? std::span<const Value>(k.value.items) : std::span<const Value>(&k.value, 1)) {
    const Types type = name.is(Kind::kString) ? type_named(name.text) : Types{0};
    if (type == 0)
      return k.wrong("must be null, boolean, integer, number, string, array or object, or an array of these");
    types |= type;
  }
  node.types = types;
  node.typed = true;
  return {};
}

Status read_required(const Keyword& k, Node& node) {
  if (!k.value.is(Kind::kArray)) return k.wrong("must be an array of names");
  for (const Value& name : k.value.items) {
    if (!name.is(Kind::kString)) return k.wrong("must be an array of names");
    node.required.push_back(name.text);
  }
  return {};
}

Status read_properties(const Keyword& k, const Value*& properties) {
  if (!k.value.is(Kind::kObject) || !std::all_of(k.value.items.begin(), k.value.items.end(), is_schema)) {
    return k.wrong("must be an object of schemas");
  }
  properties = &k.value;
  return {};
}

using Read = Status (*)(const Keyword&, Node&);
struct Row {
  Types about = 0;      // 0: not only about some types
  bool asserts = true;  // false: it brings in other schemas
  Read read;
};

// Keywords that Node has.
const std::map<std::string_view, Row>& keywords() {
  static const std::map<std::string_view, Row> rows = {
      {"$ref",
       {0, false,
        [](const Keyword& k, Node& n) -> Status {
          QUERN_CHECK_OK(read_text(k, n.ref));
          auto target = follow(k.root, n.ref->text);
          if (!target)
            return fail_f(target.error().code, "{}: {}", place_of(k.root, k.schema.id), target.error().message);
          if (!is_schema(**target)) return k.wrong("leads to what is not a schema");
          n.ref = *target;
          return {};
        }}},
      {"allOf", {0, false, [](const Keyword& k, Node& n) { return read_schemas(k, n.all_of); }}},
      {"anyOf", {0, false, [](const Keyword& k, Node& n) { return read_schemas(k, n.any_of); }}},
      {"oneOf", {0, false, [](const Keyword& k, Node& n) { return read_schemas(k, n.one_of); }}},
      {"type", {0, true, read_type}},
      {"const",
       {0, true,
        [](const Keyword& k, Node& n) -> Status {
          n.constant = &k.value;
          n.typed = true;
          return {};
        }}},
      {"enum",
       {0, true,
        [](const Keyword& k, Node& n) -> Status {
          if (!k.value.is(Kind::kArray)) return k.wrong("must be an array");
          n.enumeration = &k.value;
          n.typed = true;
          return {};
        }}},
      {"minimum", {kNumber, true, [](const Keyword& k, Node& n) { return read_number(k, n.minimum); }}},
      {"maximum", {kNumber, true, [](const Keyword& k, Node& n) { return read_number(k, n.maximum); }}},
      {"exclusiveMinimum", {kNumber, true, [](const Keyword& k, Node& n) { return read_number(k, n.above); }}},
      {"exclusiveMaximum", {kNumber, true, [](const Keyword& k, Node& n) { return read_number(k, n.below); }}},
      {"multipleOf",
       {kNumber, true,
        [](const Keyword& k, Node& n) -> Status {
          QUERN_CHECK_OK(read_number(k, n.multiple_of));
          if (n.multiple_of->zero() || n.multiple_of->negative()) return k.wrong("must be more than 0");
          return {};
        }}},
      {"pattern", {kString, true, [](const Keyword& k, Node& n) { return read_text(k, n.pattern); }}},
      {"format", {kString, true, [](const Keyword& k, Node& n) { return read_text(k, n.format); }}},
      {"minLength", {kString, true, [](const Keyword& k, Node& n) { return read_count(k, n.min_length); }}},
      {"maxLength", {kString, true, [](const Keyword& k, Node& n) { return read_count(k, n.max_length); }}},
      {"prefixItems", {kArray, true, [](const Keyword& k, Node& n) { return read_schemas(k, n.prefix_items); }}},
      {"items", {kArray, true, [](const Keyword& k, Node& n) { return read_schema(k, n.items); }}},
      {"minItems", {kArray, true, [](const Keyword& k, Node& n) { return read_count(k, n.min_items); }}},
      {"maxItems", {kArray, true, [](const Keyword& k, Node& n) { return read_count(k, n.max_items); }}},
      {"uniqueItems",
       {kArray, true,
        [](const Keyword& k, Node& n) -> Status {
          if (!k.value.is_boolean()) return k.wrong("must be true or false");
          if (k.value.is(Kind::kTrue)) n.unique_items = &k.value;
          return {};
        }}},
      {"properties", {kObject, true, [](const Keyword& k, Node& n) { return read_properties(k, n.properties); }}},
      {"patternProperties",
       {kObject, true, [](const Keyword& k, Node& n) { return read_properties(k, n.pattern_properties); }}},
      {"propertyNames", {kObject, true, [](const Keyword& k, Node& n) { return read_schema(k, n.property_names); }}},
      {"required", {kObject, true, read_required}},
      {"additionalProperties", {kObject, true, [](const Keyword& k, Node& n) { return read_schema(k, n.additional); }}},
      {"minProperties", {kObject, true, [](const Keyword& k, Node& n) { return read_count(k, n.min_properties); }}},
      {"maxProperties", {kObject, true, [](const Keyword& k, Node& n) { return read_count(k, n.max_properties); }}},
  };
  return rows;
}

// clang-format off
// Say nothing about the value. An anchor matters only to a reference to it, which is refused.
constexpr std::string_view kAnnotations[] = {
    "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "contentEncoding",
    "contentMediaType", "contentSchema", "discriminator", "$schema", "$comment", "$defs", "definitions", "$anchor",
    "$dynamicAnchor",
};

constexpr std::string_view kRefused[] = {
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "contains", "minContains",
    "maxContains", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef", "$vocabulary",
    "nullable", "additionalItems",
};
// clang-format on

bool in(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether what is refused otherwise says nothing here.
bool trivial(const Keyword& k) {
  constexpr std::string_view kWhereTrue[] = {"unevaluatedProperties", "unevaluatedItems"};
  constexpr std::string_view kWhereEmpty[] = {"dependentRequired", "dependentSchemas", "dependencies"};
  constexpr std::string_view kWithContains[] = {"minContains", "maxContains"};
  const bool empty = k.value.is(Kind::kObject) && k.value.items.empty();
  if (in(kWhereTrue, k.name)) return empty || k.value.is(Kind::kTrue);
  if (in(kWithContains, k.name)) return k.schema.find("contains") == nullptr;
  return (in(kWhereEmpty, k.name) && empty) || (k.name == "nullable" && k.value.is(Kind::kFalse));
}

Status read_keyword(const Keyword& k, Node& node) {
  if (const auto row = keywords().find(k.name); row != keywords().end()) {
    node.about |= row->second.about;
    node.asserts |= row->second.asserts;
    return row->second.read(k, node);
  }
  if (in(kAnnotations, k.name) || k.name.starts_with("x-")) return {};
  if (k.name == "$id") return k.schema.id == 0 ? Status() : k.unsupported("only the root may have one");
  if (!in(kRefused, k.name)) return k.unsupported("it is not known");
  return trivial(k) ? Status() : k.unsupported();
}

}  // namespace

Result<Schema> Schema::parse(std::string_view text) {
  QUERN_TRY(Value root, parse_json(text));
  if (!is_schema(root)) return fail(ErrorCode::kInvalidArgument, "the schema must be an object, true or false");
  return Schema(std::move(root));
}

Result<const Node*> Schema::node(const Value& value) {
  return read(value, 1);
}

Result<const Node*> Schema::read(const Value& value, unsigned depth) {
  const auto [at, fresh] = nodes_.try_emplace(value.id);
  if (!fresh) {
    if (at->second != nullptr) return at->second.get();
    return fail_f(ErrorCode::kUnsupported,
                  "{}: the keyword \"$ref\" is not supported where it leads back for the same value", place(value));
  }
  auto node = std::make_unique<Node>();
  node->value = &value;
  node->never = value.is(Kind::kFalse);
  for (size_t i = 0; i < value.items.size(); ++i) {
    QUERN_CHECK_OK(read_keyword({root_, value, value.names[i], value.items[i]}, *node));
  }
  std::vector<const Value*> applied = node->all_of;
  applied.insert(applied.end(), node->any_of.begin(), node->any_of.end());
  applied.insert(applied.end(), node->one_of.begin(), node->one_of.end());
  if (node->ref != nullptr) applied.push_back(node->ref);
  for (const Value* schema : applied) {
    unsigned height = kMaxHeight;
    if (depth < kMaxHeight) {
      QUERN_TRY(const Node* below, read(*schema, depth + 1));
      height = below->height;
    }
    if (height >= kMaxHeight) {
      return fail_f(ErrorCode::kResource, "{}: $ref, allOf, anyOf and oneOf nest more than {} deep", place(value),
                    kMaxHeight);
    }
    node->height = std::max(node->height, height + 1);
  }
  return (nodes_[value.id] = std::move(node)).get();
}

}  // namespace quern::grammar::schema
