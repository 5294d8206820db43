#include "chat/tools/argument_grammar.h"

#include <algorithm>
#include <set>

#include "grammar/json_schema.h"

namespace quern::tools {
namespace {

using grammar::IrBuilder;
using grammar::Symbol;
using Sequence = IrBuilder::Sequence;

constexpr int kMaxDepth = 16;  // of a schema that is not written as JSON
// What says nothing about which values are accepted.
constexpr std::string_view kNotes[] = {"title", "description", "default", "examples", "deprecated", "$comment"};
constexpr std::string_view kLongQuote = "<|\"|>";

tl::unexpected<Error> unsupported(std::string_view what) {
  return fail_f(ErrorCode::kUnsupported, "{} cannot be held in this model's way of writing arguments", what);
}

// Whether a schema has no keywords but these and notes.
bool only(const Json& schema, std::initializer_list<std::string_view> keywords) {
  if (!schema.is_object()) return false;
  return std::ranges::all_of(schema.items(), [&](const auto& item) {
    const std::string_view key = item.key();
    return std::ranges::find(keywords, key) != keywords.end() || std::ranges::find(kNotes, key) != std::end(kNotes);
  });
}

bool has_type(const Json& schema, std::string_view type) {
  return schema.is_object() && schema.contains("type") && schema["type"].is_string() && schema["type"] == type;
}

// A part of a tool's schema by itself; what it refers to goes with it.
Json alone(const Json& part, const Json& root) {
  if (!part.is_object()) return part;
  Json schema = part;
  for (const char* key : {"$defs", "definitions"}) {
    if (root.contains(key) && !schema.contains(key)) schema[key] = root[key];
  }
  return schema;
}

std::vector<std::uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t c = n == 1 ? lead : lead & (0x7Fu >> n);
    for (size_t k = 1; k < n && i + k < text.size(); ++k)
      c = (c << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    out.push_back(c);
    i += n;
  }
  return out;
}

// The values of `enum` or `const`; none where there is neither.
std::vector<Json> listed_values(const Json& schema) {
  if (schema.contains("const")) return {schema["const"]};
  std::vector<Json> values;
  if (schema.contains("enum") && schema["enum"].is_array()) values.assign(schema["enum"].begin(), schema["enum"].end());
  return values;
}

struct Property {
  std::string name;
  Json schema;
  bool required = false;
};

// The properties of an object, where that is all that its schema says.
Result<std::vector<Property>> properties_of(const Json& schema, const Json& root) {
  if (!only(schema,
            {"type", "properties", "required", "additionalProperties", "$defs", "definitions", "$schema", "$id"}))
    return unsupported("a schema with more than properties");
  if (schema.contains("type") && !has_type(schema, "object")) return unsupported("arguments that are no object");
  std::set<std::string> required;
  if (schema.contains("required")) {
    for (const Json& name : schema["required"]) {
      if (!name.is_string()) return unsupported("'required' of another kind than names");
      required.insert(name.get<std::string>());
    }
  }
  std::vector<Property> out;
  if (schema.contains("properties")) {
    if (!schema["properties"].is_object()) return unsupported("'properties' that are no object");
    for (const auto& [name, value] : schema["properties"].items()) {
      out.push_back({name, alone(value, root), required.erase(name) > 0});
    }
  }
  if (!required.empty()) return unsupported("a required property that is not listed");
  return out;
}

class Compiler {
 public:
  Compiler(const Family& family, IrBuilder& to) : family_(family), to_(to) {}

  Result<Symbol> json(const Json& schema) {
    QUERN_TRY(auto made, grammar::add_json_schema(json_text(schema), {}, to_));
    warnings.insert(warnings.end(), made.warnings.begin(), made.warnings.end());
    return made.root;
  }

  // <parameter=KEY>VALUE</parameter> for each, in the schema's order.
  Result<Symbol> parameters(const Tool& tool) {
    const ParameterSyntax& syntax = *family_.parameters;
    QUERN_TRY(const auto properties, properties_of(tool.parameters, tool.parameters));
    Sequence all;
    for (const Property& property : properties) {
      if (!is_plain_name(property.name)) return unsupported("the name '" + property.name + "'");
      QUERN_TRY(const Symbol value, typed_value(syntax, property.schema));
      const std::string before =
          std::string(syntax.between) + std::string(syntax.before_key) + property.name + std::string(syntax.after_key);
      const Symbol one =
          to_.sequence({text(before), value, text(std::string(syntax.tail) + std::string(syntax.after_value))});
      all.push_back(property.required ? one : to_.optional(one));
    }
    return to_.sequence(all);
  }

  Symbol any_parameters() {
    const ParameterSyntax& syntax = *family_.parameters;
    const std::string lead = std::string(syntax.before_value) + std::string(syntax.lead);
    const Symbol type = syntax.typed ? to_.literal("true") : to_.empty();
    const Symbol one = to_.sequence({text(std::string(syntax.between) + std::string(syntax.before_key)), bare_name(),
                                     text(syntax.after_key), type, text(lead), text_without(syntax.after_value, to_),
                                     text(std::string(syntax.tail) + std::string(syntax.after_value))});
    // A name may come once: more of them could come to the same.
    return to_.optional(one);
  }

  // {key:value,..}, keys sorted, or key=value, ..: the arguments as gemma and Python write them.
  Result<Symbol> literals(const Tool& tool, Part part) {
    bare_ = part == Part::kBareLiteral;
    QUERN_TRY(auto properties, properties_of(tool.parameters, tool.parameters));
    return object(properties, bare_ ? ":" : "=", bare_ ? "{" : "", bare_ ? "}" : "", 0);
  }

  Symbol any_literal(Part part) {
    bare_ = part == Part::kBareLiteral;
    const Symbol value = bare_ ? quoted_text() : any_json_text();
    const Symbol one = to_.sequence({bare_name(), to_.literal(bare_ ? ":" : "="), value});
    return to_.sequence({to_.literal(bare_ ? "{" : ""), to_.optional(one), to_.literal(bare_ ? "}" : "")});
  }

  std::vector<std::string> warnings;

 private:
  Symbol text(std::string_view t) { return marked_text(t, family_.specials, to_); }

  Symbol bare_name() {
    constexpr IrBuilder::Range kLetters[] = {{'a', 'z'}, {'A', 'Z'}, {'_', '_'}};
    return to_.repeat(to_.characters(kLetters), 1, 64);
  }
  static bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 &&
           std::ranges::all_of(name, [](char c) { return is_name_byte(c) && c != ':' && c != '/'; });
  }

  Result<Symbol> typed_value(const ParameterSyntax& syntax, const Json& schema) {
    const std::string lead = std::string(syntax.before_value) + std::string(syntax.lead);
    const bool string = has_type(schema, "string");
    const Symbol type = to_.literal(!syntax.typed ? "" : string ? "true" : "false");
    if (!string) {
      // What is not a string is JSON in every such format; where nothing says so, a string has its quotes.
      QUERN_TRY(const Symbol value, json(schema));
      return to_.sequence({type, text(lead), value});
    }
    QUERN_TRY(const Symbol value, raw_text(schema, syntax.after_value));
    return to_.sequence({type, text(lead), value});
  }

  // A string without quotes, up to `end`.
  Result<Symbol> raw_text(const Json& schema, std::string_view end) {
    if (!only(schema, {"type", "enum", "const", "$defs", "definitions"})) {
      return unsupported("a string with more than 'enum' or 'const'");
    }
    const auto values = listed_values(schema);
    if (values.empty()) {
      if (schema.contains("enum")) return unsupported("an empty 'enum'");
      return text_without(end, to_);
    }
    Sequence all;
    for (const Json& value : values) {
      if (!value.is_string()) continue;  // the type says string
      const auto& t = value.get_ref<const std::string&>();
      if (has(t, end)) return unsupported("a string with '" + std::string(end) + "'");
      all.push_back(to_.literal(t));
    }
    return to_.choice(all);
  }

  Symbol quoted_text() { return to_.sequence({text(kLongQuote), text_without(kLongQuote, to_), text(kLongQuote)}); }
  Symbol any_json_text() {
    const auto made = grammar::add_json_schema(R"({"type": "string"})", {}, to_);
    return made ? made->root : to_.literal("\"\"");
  }

  // Comma and all: an optional property takes its comma with it, which the first one has not.
  Result<Symbol> object(std::vector<Property>& properties, std::string_view colon, std::string_view open,
                        std::string_view close, int depth) {
    if (bare_) std::ranges::sort(properties, {}, &Property::name);
    const Symbol comma = to_.literal(bare_ ? "," : ", ");
    Symbol rest_first = to_.empty(), rest_later = to_.empty();
    for (size_t i = properties.size(); i-- > 0;) {
      const Property& property = properties[i];
      const bool quoted = !bare_ && depth > 0;
      if (!is_plain_name(property.name)) return unsupported("the name '" + property.name + "'");
      QUERN_TRY(const Symbol value, literal(property.schema, depth + 1));
      const std::string key = (quoted ? "\"" + property.name + "\"" : property.name) + std::string(colon);
      const Symbol one = to_.sequence({to_.literal(key), value, rest_later});
      const Symbol first = property.required ? one : to_.choice({one, rest_first});
      const Symbol other = to_.sequence({comma, one});
      rest_later = property.required ? other : to_.choice({other, rest_later});
      rest_first = first;
    }
    return to_.sequence({to_.literal(open), rest_first, to_.literal(close)});
  }

  Result<Symbol> listed(const std::vector<Json>& values) {
    Sequence all;
    for (const Json& value : values) {
      if (value.is_structured()) return unsupported("an 'enum' of objects or arrays");
      if (value.is_string()) {
        const auto& t = value.get_ref<const std::string&>();
        if (bare_ && has(t, kLongQuote)) return unsupported("a string with '<|\"|>'");
        all.push_back(bare_ ? to_.sequence({text(kLongQuote), to_.literal(t), text(kLongQuote)})
                            : to_.literal(json_text(value)));
      } else {
        all.push_back(to_.literal(word(value)));
      }
    }
    return to_.choice(all);
  }
  [[nodiscard]] std::string word(const Json& value) const {
    if (value.is_null()) return "None";
    if (value.is_boolean() && !bare_) return value.get<bool>() ? "True" : "False";
    return json_text(value);
  }

  Result<Symbol> literal(const Json& schema, int depth) {
    if (depth > kMaxDepth) return unsupported("a schema of so many levels");
    if (!schema.is_object()) return unsupported("a schema that is no object");
    const auto values = listed_values(schema);
    if (!values.empty() && only(schema, {"type", "enum", "const", "$defs", "definitions"})) {
      std::vector<Json> fitting;
      for (const Json& value : values) {
        if (!has_type(schema, "string") || value.is_string()) fitting.push_back(value);
      }
      const bool other = schema.contains("type") && !has_type(schema, "string");
      return other || fitting.empty() ? unsupported("an 'enum' of this type") : listed(fitting);
    }
    if (has_type(schema, "string")) {
      if (!bare_) return json(schema);  // a JSON string is one of Python's
      if (!only(schema, {"type", "$defs", "definitions"})) return unsupported("a string with conditions");
      return quoted_text();
    }
    if (has_type(schema, "integer") || has_type(schema, "number")) return json(schema);
    if (has_type(schema, "boolean") && only(schema, {"type", "$defs", "definitions"})) return listed({true, false});
    if (has_type(schema, "null")) return listed({nullptr});
    if (has_type(schema, "array") && only(schema, {"type", "items", "$defs", "definitions"}) &&
        schema.contains("items")) {
      QUERN_TRY(const Symbol item, literal(alone(schema["items"], schema), depth + 1));
      const Symbol comma = to_.literal(bare_ ? "," : ", ");
      const Symbol more = to_.repeat(to_.sequence({comma, item}), 0, IrBuilder::kUnbounded);
      return to_.sequence({to_.literal("["), to_.optional(to_.sequence({item, more})), to_.literal("]")});
    }
    if (has_type(schema, "object")) {
      QUERN_TRY(auto properties, properties_of(schema, schema));
      return object(properties, bare_ ? ":" : ": ", "{", "}", depth);
    }
    return unsupported("a schema that is not one plain type");
  }

  const Family& family_;
  IrBuilder& to_;
  bool bare_ = false;
};

// What add_json_schema is given: arguments are an object, and without properties an empty one.
Json object_schema(const Json& parameters) {
  Json schema = parameters;
  if (!schema.contains("type")) schema["type"] = "object";
  const bool no_properties =
      schema.contains("properties") && schema["properties"].is_object() && schema["properties"].empty();
  if (no_properties && !schema.contains("additionalProperties")) schema["additionalProperties"] = false;
  return schema;
}

}  // namespace

Symbol marked_text(std::string_view text, std::span<const std::string_view> specials, IrBuilder& to) {
  Sequence all;
  while (!text.empty()) {
    size_t at = text.size(), length = 0;
    for (const std::string_view special : specials) {
      const size_t place = text.find(special);
      if (place < at || (place == at && special.size() > length)) {
        at = place;
        length = special.size();
      }
    }
    if (at > 0) all.push_back(to.literal(text.substr(0, at)));
    if (length > 0) all.push_back(to.special(text.substr(at, length)));
    text.remove_prefix(at + length);
  }
  return to.sequence(all);
}

// Knuth, Morris, Pratt over characters: a state for each beginning of `end`, all of which may be the last.
Symbol text_without(std::string_view end, IrBuilder& to) {
  const auto pattern = code_points(end);
  std::vector<size_t> border(pattern.size() + 1, 0);  // of each beginning, the longest end that is a beginning
  for (size_t i = 1, k = 0; i < pattern.size(); ++i) {
    while (k > 0 && pattern[i] != pattern[k]) k = border[k];
    if (pattern[i] == pattern[k]) ++k;
    border[i + 1] = k;
  }
  const auto next = [&](size_t state, uint32_t c) {
    while (state > 0 && pattern[state] != c) state = border[state];
    return pattern[state] == c ? state + 1 : 0;
  };
  const std::set<uint32_t> alphabet(pattern.begin(), pattern.end());
  std::vector<IrBuilder::Range> known;
  for (const uint32_t c : alphabet) known.push_back({c, c});
  const Symbol others = to.characters(known, true);
  Sequence states;
  for (size_t i = 0; i < pattern.size(); ++i) states.push_back(to.rule());
  for (size_t i = 0; i < pattern.size(); ++i) {
    to.add(states[i], std::span<const Symbol>{});
    to.add(states[i], {others, states[0]});
    for (const IrBuilder::Range& c : known) {
      const size_t state = next(i, c.first);
      if (state < pattern.size()) to.add(states[i], {to.characters({&c, 1}), states[state]});
    }
  }
  return states[0];
}

Result<ArgumentGrammar> argument_grammar(const Family& family, Part part, const Tool& tool, IrBuilder& to) {
  Compiler compiler(family, to);
  Result<Symbol> root = part == Part::kParameters ? compiler.parameters(tool)
                        : part == Part::kBareLiteral || part == Part::kPython
                            ? compiler.literals(tool, part)
                            : compiler.json(object_schema(tool.parameters));
  if (!root) return tl::unexpected<Error>(root.error());
  return ArgumentGrammar{*root, std::move(compiler.warnings)};
}

Symbol any_arguments(const Family& family, Part part, IrBuilder& to) {
  Compiler compiler(family, to);
  if (part == Part::kParameters) return compiler.any_parameters();
  if (part == Part::kBareLiteral || part == Part::kPython) return compiler.any_literal(part);
  return grammar::add_json_object({}, to);
}

}  // namespace quern::tools
