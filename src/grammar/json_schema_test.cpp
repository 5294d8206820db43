#include "grammar/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/schema/node.h"
#include "grammar/schema/validate.h"
#include "tests/support/ir_match.h"

namespace quern::grammar {
namespace {

using testing::HasSubstr;

struct Compiled {
  Ir ir;
  std::vector<std::string> warnings;
};

Result<Compiled> compile(std::string_view schema, const JsonOptions& options = {}) {
  IrBuilder builder;
  QUERN_TRY(JsonGrammar grammar, add_json_schema(schema, options, builder));
  QUERN_TRY(Ir ir, builder.finish(grammar.root));
  return Compiled{std::move(ir), std::move(grammar.warnings)};
}

struct Case {
  const char* schema;
  std::vector<const char*> accepted;
  std::vector<const char*> refused;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto compiled = compile(c.schema);
    ASSERT_TRUE(compiled) << c.schema << ": " << compiled.error().message;
    for (const char* text : c.accepted) EXPECT_TRUE(ir_matches(compiled->ir, text)) << c.schema << "\n" << text;
    for (const char* text : c.refused) EXPECT_FALSE(ir_matches(compiled->ir, text)) << c.schema << "\n" << text;
  }
}

TEST(JsonSchema, AnyValue) {
  check({
      {"true",
       {"null", "true", "-1.5", R"("a\n\u00e9")", "[]", "[1, [2, {}]]", R"({"a": {"b": [null]}})"},
       {"", "nul", "01", "[1,]", R"({"a"})", R"("\x")", R"("\ud800")", "[[[[[[[1]]]]]]]", " 1", "1 "}},
      {R"({"title": "t", "description": "d", "default": 1, "examples": [1], "$comment": "c", "x-mine": 1, "$id": "urn:a"})",
       {"null", "{}"},
       {"x"}},
  });
}

TEST(JsonSchema, Types) {
  check({
      {R"({"type": "null"})", {"null"}, {"0", "false"}},
      {R"({"type": "boolean"})", {"true", "false"}, {"null", "\"true\""}},
      {R"({"type": "integer"})", {"0", "-17", "123456"}, {"1.5", "01", "-", "null"}},
      {R"({"type": "number"})", {"0", "-17.25", "123456"}, {"01", "-", "null", "1."}},
      {R"({"type": ["string", "null"]})", {"null", "\"\""}, {"1"}},
      {R"({"type": "array"})", {"[]", "[1, \"a\"]"}, {"{}", "[1 2]"}},
      {R"({"type": "object"})", {"{}", R"({"a": 1, "b": []})"}, {"[]", R"({"a": 1 "b": 2})"}},
      // Without a type, keywords tell it.
      {R"({"minLength": 2})", {"\"ab\""}, {"\"a\"", "1", "null"}},
      {R"({"properties": {"a": true}})", {"{}", R"({"a": 1})"}, {"1", R"({"b": 1})"}},
      {R"({"type": ["integer", "string"], "minLength": 1})", {"1", "\"a\""}, {"\"\""}},
  });
}

TEST(JsonSchema, EnumAndConst) {
  check({
      {R"({"enum": ["red", "green", null, 1.50, [1, {"a": "b"}]]})",
       {"\"red\"", "\"green\"", "null", "1.50", R"([1,{"a":"b"}])"},
       {"\"blue\"", "\"re\"", "1.5", "[]"}},
      {R"({"const": "a\"\\\n\u0001é"})", {R"("a\"\\\n\u0001é")"}, {"\"a\""}},
      {R"({"enum": ["a", 1, 2.0, 2.5, null], "type": "integer"})", {"1", "2.0"}, {"\"a\"", "2.5", "null"}},
      {R"({"enum": ["abc", "b", "é", "aé"], "maxLength": 2})", {"\"b\"", "\"é\"", "\"aé\""}, {"\"abc\""}},
      {R"({"enum": [1, 5, 10], "minimum": 2, "exclusiveMaximum": 10})", {"5"}, {"1", "10"}},
      {R"({"enum": [[], [1], [1, 2]], "minItems": 1, "items": {"maximum": 1}})", {"[1]"}, {"[]", "[1,2]"}},
      {R"({"enum": [{"a": 1}, {"a": "x"}, {"b": 1}], "properties": {"a": {"type": "string"}}, "required": ["a"]})",
       {R"({"a":"x"})"},
       {R"({"a":1})", R"({"b":1})"}},
      {R"({"enum": [1, 2, 3], "allOf": [{"enum": [3, 2.0]}], "oneOf": [{"const": 2}, {"minimum": 2}]})",
       {"3"},
       {"2", "1"}},
      {R"({"const": 100000000000000000001, "type": "integer"})", {"100000000000000000001"}, {"100000000000000000000"}},
      {R"({"enum": [[1, 1.0], [1, 2]], "uniqueItems": true})", {"[1,2]"}, {"[1,1.0]"}},
  });
}

// U+80000 may be an escape wherever a text has it: there are vocabularies without the byte F2.
TEST(JsonSchema, RareCharactersHaveEscapes) {
  check({
      {R"({"const": "é\ud9c0\udc00!"})",
       {"\"é\xF2\x80\x80\x80!\"", R"("é\ud9c0\udc00!")"},
       {R"("\u00e9\ud9c0\udc00!")", R"("é\ud9c0\udc01!")"}},
      {R"({"enum": ["a", "a\ud9c0\udc00", "\ud9c0\udc01", 1]})",
       {"\"a\"", "\"a\xF2\x80\x80\x80\"", R"("a\ud9c0\udc00")", R"("\ud9c0\udc01")", "1"},
       {R"("\u0061")", R"("a\ud9c0\udc01")"}},
      {R"({"const": {"k\ud9c0\udc00": ["\ud9c0\udc00"]}})",
       {"{\"k\xF2\x80\x80\x80\":[\"\xF2\x80\x80\x80\"]}", R"({"k\ud9c0\udc00":["\ud9c0\udc00"]})"},
       {}},
      {R"({"properties": {"\ud9c0\udc00": {"const": 1}}, "required": ["\ud9c0\udc00"]})",
       {R"({"\ud9c0\udc00": 1})", "{\"\xF2\x80\x80\x80\":1}"},
       {"{}"}},
      {R"({"type": "string", "pattern": "^[a\ud9c0\udc00]$"})", {R"("\ud9c0\udc00")", "\"a\""}, {R"("\ud9c0")"}},
  });
}

TEST(JsonSchema, Strings) {
  check({
      {R"({"type": "string"})",
       {"\"\"", R"("a\"\\\/\b\f\n\r\t\u0041\uD7fF é 漢 😀 \ud83d\uDE00")"},
       {"\"", "\"a\nb\"", R"("\uDEAD")", R"("\ud83d")", R"("\ud83d\u0041")", R"("\ude00\ud83d")"}},
      {R"({"type": "string", "maxLength": 1})", {R"("\ud83d\ude00")", "\"😀\""}, {R"("\ud83d\ude00a")"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {"\"ab\"", "\"abc\"", R"("\n\"")", R"("\u00e9é😀")"},
       {"\"a\"", "\"abcd\"", R"("\n")"}},
      {R"({"type": "string", "maxLength": 1000000000})", {"\"\"", "\"ab\""}, {"\"a"}},
      {R"({"type": "string", "pattern": "^[a-c]+$"})", {"\"abc\""}, {"\"\"", "\"abd\"", "\"abcx\""}},
      {R"({"type": "string", "pattern": "b"})", {"\"abc\"", "\"b\""}, {"\"\"", "\"ac\""}},
      {R"({"type": "string", "pattern": "^[a-c]+$", "minLength": 2, "maxLength": 3})",
       {"\"ab\"", "\"abc\""},
       {"\"a\"", "\"abca\""}},
      {R"({"allOf": [{"pattern": "^a"}, {"pattern": "z$"}, {"maxLength": 3}]})",
       {"\"az\"", "\"abz\""},
       {"\"a\"", "\"abbz\""}},
      {R"({"pattern": "^\"\\n$"})", {R"("\"\n")"}, {R"("\"n")"}},
      {R"({"type": "string", "format": "date"})", {"\"2024-02-29\""}, {"\"2024-02-30\"", "\"today\""}},
      {R"({"type": "string", "format": "uuid", "pattern": "^0"})",
       {"\"01234567-89ab-cdef-0123-456789abcdef\""},
       {"\"11234567-89ab-cdef-0123-456789abcdef\""}},
      {R"({"type": "string", "pattern": "^a*$", "maxLength": 1000000})", {"\"\"", "\"aaa\""}, {"\"b\""}},
  });
}

TEST(JsonSchema, Numbers) {
  check({
      {R"({"type": "integer", "minimum": 0, "maximum": 120})", {"0", "9", "120"}, {"-1", "121", "1.5", "00"}},
      {R"({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1e1})", {"1", "9"}, {"0", "10"}},
      {R"({"type": "number", "minimum": -0.5, "maximum": 2})", {"0", "-0.5", "1.25", "2"}, {"-0.6", "2.1", "3"}},
      {R"({"minimum": 3, "allOf": [{"maximum": 5}, {"exclusiveMinimum": 3}, {"type": "integer"}]})",
       {"4", "5"},
       {"3", "6"}},
      {R"({"type": "integer", "minimum": 1, "anyOf": [{"maximum": 0}, {"const": 7}]})", {"7"}, {"0", "1"}},
      {R"({"type": "number", "multipleOf": 1})", {"0", "-5"}, {"1.5"}},
      {R"({"type": "integer", "multipleOf": 0.5})", {"3"}, {"1.5"}},
      {R"({"type": "integer", "multipleOf": 7, "minimum": -10, "maximum": 20})",
       {"-7", "0", "7", "14"},
       {"-14", "1", "21"}},
      {R"({"type": "number", "multipleOf": 0.25, "minimum": 0, "exclusiveMaximum": 1})",
       {"0", "0.25", "0.5", "0.75"},
       {"1", "0.3", "-0.25"}},
      {R"({"type": "integer", "multipleOf": 7})", {"0", "7", "-14", "994"}, {"8", "-0", "07"}},
      {R"({"type": "integer", "multipleOf": 5, "exclusiveMinimum": 0})", {"5", "100"}, {"0", "-5", "7"}},
      {R"({"type": "number", "multipleOf": 5, "minimum": 12.5})",
       {"15", "95", "100", "12345"},
       {"10", "12", "5", "0", "-15"}},
      {R"({"type": "integer", "multipleOf": 7, "minimum": -15})", {"-14", "0", "7", "700"}, {"-21", "-15", "3"}},
      {R"({"type": "integer", "multipleOf": 7, "exclusiveMaximum": 7})", {"-14", "0", "-700"}, {"7", "14", "-0", "-1"}},
      {R"({"type": "integer", "multipleOf": 7, "exclusiveMaximum": -70})",
       {"-77", "-98", "-700"},
       {"-70", "-7", "0", "77"}},
      {R"({"type": "number", "multipleOf": 0.01, "minimum": 0})",
       {"0", "19.99", "0.05", "3"},
       {"-1", "0.005", "1.999"}},
      {R"({"multipleOf": 4, "allOf": [{"multipleOf": 6}], "minimum": 0, "maximum": 30})",
       {"0", "12", "24"},
       {"4", "6", "18"}},
  });
}

TEST(JsonSchema, Arrays) {
  check({
      {R"({"items": {"type": "integer"}})",
       {"[]", "[1]", "[1,2, 3]", "[\n  1,\n  2\n]"},
       {"[\"a\"]", "[1,]", "[,1]", "[1"}},
      {R"({"items": {"type": "integer"}, "minItems": 1, "maxItems": 2})", {"[1]", "[1,2]"}, {"[]", "[1,2,3]"}},
      {R"({"type": "array", "minItems": 2})", {"[1,2]", "[1,2,\"a\"]"}, {"[]", "[1]"}},
      {R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false})",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[\"a\"]", "[1,\"a\",1]"}},
      {R"({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}, "minItems": 3})",
       {"[1,\"a\",\"b\"]"},
       {"[1,\"a\"]"}},
      {R"({"allOf": [{"items": {"minimum": 2}}, {"prefixItems": [{"maximum": 3}], "maxItems": 1}]})",
       {"[3]", "[]"},
       {"[1]", "[4]"}},
      {R"({"items": false})", {"[]"}, {"[1]"}},
      {R"({"items": {"enum": ["a", "b", 1, 1.0, "c"]}, "uniqueItems": true, "minItems": 1, "maxItems": 3})",
       {R"(["a"])", R"(["a", "c"])", R"(["b",1,"c"])"},
       {"[]", R"(["a","a"])", R"(["c","a"])", "[1,1.0]", R"(["a","b",1,"c"])"}},
      {R"({"items": {"enum": ["a", "b"]}, "uniqueItems": true})",
       {"[]", R"(["b"])", R"(["a","b"])"},
       {R"(["b","b"])", R"(["a",])"}},
      {R"({"type": "array", "maxItems": 1, "uniqueItems": true})", {"[]", "[1]"}, {"[1,2]"}},
  });
}

TEST(JsonSchema, Objects) {
  check({
      {R"({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["b"]})",
       {R"({"a":1,"b":"x"})", R"({"b":"x"})", R"({"a": 1, "b": "x"})", "{\n\t\"b\": \"x\"\n}"},
       {"{}", R"({"a":1})", R"({"b":"x","a":1})", R"({"a":"x","b":"x"})", R"({"b":"x","c":1})", R"({,"b":"x"})",
        R"({"b":"x",})"}},
      {R"({"properties": {"a": true, "b": true, "c": true}})",
       {"{}", R"({"b":1})", R"({"a":1,"c":2})", R"({"a":1,"b":1,"c":1})"},
       {R"({"c":1,"a":2})", R"({"a":1"b":2})"}},
      {R"({"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}})",
       {"{}", R"({"a":1})", R"({"a":1,"b":"x","":"y"})", R"({"aa":"x"})"},
       {R"({"a":"x"})", R"({"b":1})", R"({"a":1,"b":"x","a":"y"})", R"({"\u0061":"x"})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"}},
      {R"({"required": ["a"]})", {R"({"a":null})", R"({"a":1,"b":2})"}, {"{}", R"({"b":1})"}},
      // A schema's additionalProperties speaks of names that only another lists.
      {R"({"allOf": [{"properties": {"a": true}, "additionalProperties": false}, {"properties": {"b": true}}]})",
       {"{}", R"({"a":1})"},
       {R"({"b":1})", R"({"a":1,"b":1})"}},
      {R"({"allOf": [{"properties": {"a": {"minimum": 1}}}, {"properties": {"a": {"maximum": 2}}, "required": ["a"]}]})",
       {R"({"a":1})", R"({"a":2})"},
       {"{}", R"({"a":0})", R"({"a":3})"}},
      {R"({"properties": {"a": false, "b": true}, "additionalProperties": true})",
       {R"({"b":1,"c":2})"},
       {R"({"a":1})"}},
      {R"({"type": "object", "minProperties": 1})", {R"({"a":1})", R"({"a":1,"b":2})"}, {"{}"}},
      {R"({"type": "object", "maxProperties": 1})", {"{}", R"({"a":1})"}, {R"({"a":1,"b":2})"}},
      {R"({"properties": {"a": true, "b": true, "c": true}, "minProperties": 2, "maxProperties": 2})",
       {R"({"a":1,"b":2})", R"({"b":1,"c":2})"},
       {"{}", R"({"a":1})", R"({"a":1,"b":2,"c":3})"}},
      {R"({"properties": {"a": true}, "additionalProperties": true, "minProperties": 2, "maxProperties": 2})",
       {R"({"a":1,"b":2})"},
       {R"({"a":1})", R"({"b":1,"c":2})", R"({"a":1,"b":2,"c":3})"}},
      {R"({"properties": {"a\"b": true}})", {R"({"a\"b":1})"}, {R"({"ab":1})"}},
  });
}

TEST(JsonSchema, NamesByPattern) {
  check({
      {R"({"patternProperties": {"^x_": {"type": "integer"}}})",
       {"{}", R"({"x_":1,"x_b":2})"},
       {R"({"x_":"a"})", R"({"a":1})"}},
      {R"({"properties": {"x_a": {"minimum": 5}}, "patternProperties": {"^x_": {"type": "integer"}, "b$": {"maximum": 3}},
           "additionalProperties": {"type": "null"}})",
       {R"({"x_a":5,"x_b":3,"b":2.5,"c":null,"x_c":9})", R"({"b":-1})"},
       {R"({"x_a":4})", R"({"x_b":4})", R"({"x_b":2.5})", R"({"b":null})", R"({"c":1})"}},
      {R"({"propertyNames": {"pattern": "^[a-c]+$", "maxLength": 2}, "required": ["b"]})",
       {R"({"b":1})", R"({"b":1,"ca":2})"},
       {R"({"b":1,"d":2})", R"({"b":1,"abc":2})"}},
      {R"({"properties": {"a": true, "bb": true}, "propertyNames": {"maxLength": 1}})",
       {R"({"a":1})"},
       {R"({"bb":1})"}},
      {R"({"propertyNames": false})", {"{}"}, {R"({"a":1})"}},
  });
}

TEST(JsonSchema, Combinations) {
  check({
      {R"({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]})", {"\"a\"", "5"}, {"4", "null"}},
      {R"({"type": "integer", "anyOf": [{"type": "string"}, {"minimum": 5}], "maximum": 6})",
       {"5", "6"},
       {"4", "7", "\"a\""}},
      {R"({"allOf": [{"anyOf": [{"const": 1}, {"const": 2}]}, {"anyOf": [{"const": 2}, {"const": 3}]}]})",
       {"2"},
       {"1", "3"}},
      {R"({"properties": {"k": {"type": "string"}}, "required": ["k"],
           "anyOf": [{"properties": {"k": {"const": "a"}, "n": {"type": "integer"}}, "required": ["n"]},
                     {"properties": {"k": {"const": "b"}}}]})",
       {R"({"k":"a","n":1})", R"({"k":"b"})"},
       {R"({"k":"a"})", R"({"k":"c"})"}},
      {R"({"anyOf": [true, {"type": "null"}]})", {"1", "null"}, {"x"}},
      {R"({"anyOf": [false, {"type": "null"}]})", {"null"}, {"1"}},
  });
}

TEST(JsonSchema, References) {
  check({
      {R"({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}})", {"1"}, {"null"}},
      {R"({"$ref": "#/$defs/a", "maximum": 3, "$defs": {"a": {"type": "integer"}}})", {"1"}, {"4", "0.5"}},
      {R"({"$ref": "#/$defs/a~1b%25~0", "$defs": {"a/b%~": {"type": "integer"}}})", {"1"}, {"null"}},
      {R"({"properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["v"], "additionalProperties": false})",
       {R"({"v":1})", R"({"v":1,"next":{"v":2,"next":{"v":3}}})"},
       {R"({"v":1,"next":{}})", R"({"v":1,"next":{"v":2})"}},
      {R"({"$ref": "#/definitions/t", "definitions": {"t": {"anyOf": [{"type": "integer"},
           {"type": "array", "items": {"$ref": "#/definitions/t"}}]}}})",
       {"1", "[]", "[1,[2,[]]]"},
       {"[null]", "[1"}},
      {R"({"prefixItems": [{"type": "integer"}, {"$ref": "#/prefixItems/0"}], "items": false})",
       {"[1,2]"},
       {"[1,\"a\"]"}},
  });
}

TEST(JsonSchema, PartsThatNothingSatisfiesAreLeftOut) {
  check({
      {R"({"properties": {"a": {"minimum": 2, "maximum": 1}, "b": {"allOf": [{"type": "null"}, {"type": "string"}]}}})",
       {"{}"},
       {R"({"a":1})", R"({"b":null})"}},
      {R"({"anyOf": [{"type": "string", "pattern": "^a$", "minLength": 2}, {"enum": [1], "type": "null"}, {"const": 3}]})",
       {"3"},
       {"\"a\"", "1", "null"}},
      {R"({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [{"type": "null"}, {"properties": {"a": {"$ref": "#/$defs/e"}}, "required": ["a"]}]},
           "e": {"properties": {"a": {"$ref": "#/$defs/e"}}, "required": ["a"]}}})",
       {"null"},
       {R"({"a":null})", R"({"a":{"a":null}})"}},
  });
  for (const char* schema :
       {"false", R"({"type": "string", "enum": [1]})", R"({"type": "integer", "minimum": 2, "maximum": 1})",
        R"({"type": "array", "minItems": 2, "maxItems": 1})", R"({"enum": []})",
        R"({"properties": {"a": false}, "required": ["a"]})",
        R"({"patternProperties": {"a": true}, "additionalProperties": false, "required": ["b"]})",
        R"({"properties": {"a": {"$ref": "#"}}, "required": ["a"]})",
        R"({"type": "object", "properties": {"a": true}, "additionalProperties": false, "minProperties": 2})"}) {
    const auto compiled = compile(schema);
    ASSERT_FALSE(compiled) << schema;
    EXPECT_EQ(compiled.error().code, ErrorCode::kInvalidArgument) << schema;
    EXPECT_THAT(compiled.error().message, HasSubstr("matches nothing")) << schema;
  }
}

TEST(JsonSchema, WhatIsNotSupportedIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"properties": {"a/b": {"not": {}}}})", "#/properties/a~1b: the keyword \"not\" is not supported"},
      {R"({"if": {}, "then": {}})", "\"if\""},
      {R"({"dependentRequired": {"a": ["b"]}})", "\"dependentRequired\""},
      {R"({"propertyNames": {"anyOf": [{"maxLength": 1}, {"minLength": 3}]}})", "\"propertyNames\""},
      {R"({"unevaluatedProperties": false})", "\"unevaluatedProperties\""},
      {R"({"contains": {"const": 1}})", "\"contains\""},
      {R"({"uniqueItems": true})", "\"uniqueItems\""},
      {R"({"type": "string", "nullable": true})", "\"nullable\""},
      {R"({"type": "string", "format": "shoe-size"})", "shoe-size"},
      {R"_({"items": {"type": "string", "pattern": "(?=a)"}})_", "#/items/pattern"},
      {R"({"type": "integer", "multipleOf": 7000, "minimum": 3})", "multipleOf"},
      {R"({"minProperties": 2})", "minProperties"},
      {R"({"frobnicate": 1})", "\"frobnicate\" is not supported: it is not known"},
      {R"({"$ref": "http://a.example/b"})", "another document"},
      {R"({"$ref": "#there"})", "anchor"},
      {R"({"$ref": "#"})", "leads back"},
      {R"({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/$defs/a"}]}]}}})",
       "leads back"},
      {R"({"$dynamicRef": "#a"})", "\"$dynamicRef\""},
      {R"({"properties": {"a": {"$id": "urn:b"}}})", "\"$id\""},
      {R"({"anyOf": [{"type": "null"}, {"enum": [1], "not": {}}]})", "#/anyOf/1"},
  };
  for (const auto& [schema, message] : cases) {
    const auto compiled = compile(schema);
    ASSERT_FALSE(compiled) << schema;
    EXPECT_EQ(compiled.error().code, ErrorCode::kUnsupported) << schema << ": " << compiled.error().message;
    EXPECT_THAT(compiled.error().message, HasSubstr(message)) << schema;
  }
  // The same keywords where they say nothing.
  for (const char* schema :
       {R"({"uniqueItems": false, "patternProperties": {}, "nullable": false, "unevaluatedProperties": true})",
        R"({"minContains": 2, "$anchor": "a", "propertyNames": true, "$defs": {"a": {"not": {}}}})"}) {
    EXPECT_TRUE(compile(schema)) << schema << ": " << compile(schema).error().message;
  }
}

TEST(JsonSchema, WhatIsWrongIsSaidWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not JSON"},
      {"[]", "must be an object"},
      {R"({"type": "strin"})", "#: type must be"},
      {R"({"type": "a", "type": "b"})", "\"type\" twice"},
      {R"({"items": [{"type": "string"}]})", "prefixItems"},
      {R"({"properties": {"a": {"minLength": -1}}})", "#/properties/a: minLength"},
      {R"({"properties": {"a": {"minLength": 1.5}}})", "#/properties/a: minLength"},
      {R"({"maximum": "1"})", "maximum must be a number"},
      {R"({"multipleOf": 0})", "multipleOf"},
      {R"({"required": [1]})", "required"},
      {R"({"anyOf": []})", "anyOf"},
      {R"({"properties": {"a": 1}})", "properties"},
      {R"({"$ref": "#/$defs/a"})", "leads nowhere"},
      {R"({"$ref": "#/type", "type": "null"})", "not a schema"},
      {R"({"type": "string", "pattern": "("})", "#/pattern"},
  };
  for (const auto& [schema, message] : cases) {
    const auto compiled = compile(schema);
    ASSERT_FALSE(compiled) << schema;
    EXPECT_EQ(compiled.error().code, ErrorCode::kInvalidArgument) << schema << ": " << compiled.error().message;
    EXPECT_THAT(compiled.error().message, HasSubstr(message)) << schema;
  }
}

TEST(JsonSchema, OneOfWarnsUnlessItsBranchesDiffer) {
  const std::pair<const char*, bool> cases[] = {
      {R"({"oneOf": [{"type": "string"}, {"type": "integer"}]})", false},
      {R"({"oneOf": [{"type": "number"}, {"type": "integer"}]})", true},
      {R"({"oneOf": [{"const": 1}, {"enum": [2, 3]}, {"minimum": 4}]})", false},
      {R"({"oneOf": [{"const": 5}, {"minimum": 4}]})", true},
      {R"({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {
           "a": {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]},
           "b": {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}}})",
       false},
      {R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]},
                     {"type": "object", "properties": {"kind": {"const": "b"}}}]})",
       true},
  };
  for (const auto& [schema, warns] : cases) {
    const auto compiled = compile(schema);
    ASSERT_TRUE(compiled) << schema << ": " << compiled.error().message;
    EXPECT_EQ(compiled->warnings.size(), warns ? 1 : 0) << schema;
    for (const std::string& warning : compiled->warnings) EXPECT_THAT(warning, HasSubstr("#: oneOf"));
  }
}

TEST(JsonSchema, WithoutWhiteSpace) {
  const auto compiled = compile(R"({"properties": {"a": {"items": true}, "b": true}})", {.white_space = false});
  ASSERT_TRUE(compiled);
  EXPECT_TRUE(ir_matches(compiled->ir, R"({"a":[1,{"x":[2,3]}],"b":" "})"));
  for (const char* text : {R"({ "a":[]})", R"({"a": []})", R"({"a":[] })", R"({"a":[1, 2]})", R"({"a":[], "b":1})"}) {
    EXPECT_FALSE(ir_matches(compiled->ir, text)) << text;
  }
}

TEST(JsonSchema, WhiteSpaceIsBounded) {
  const auto compiled = compile(R"({"properties": {"a": true}})");
  ASSERT_TRUE(compiled);
  EXPECT_TRUE(ir_matches(compiled->ir, "{\n" + std::string(20, ' ') + "\"a\": 1\n}"));
  for (const std::string& text :
       {"{\n" + std::string(21, ' ') + "\"a\": 1}", std::string("{\n\n\"a\": 1}"), std::string("{  \"a\": 1}"),
        std::string("{\"a\" : 1}"), std::string("{\"a\":\n1}"), std::string("{}\n")}) {
    EXPECT_FALSE(ir_matches(compiled->ir, text)) << text;
  }
}

TEST(JsonSchema, HostileSchemasAreRefusedInTime) {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"items":)";
  EXPECT_EQ(compile(deep + "true" + std::string(200, '}')).error().code, ErrorCode::kResource);
  // Every subset of the conditions would be a rule.
  std::string many = R"({"allOf": [)";
  for (int i = 0; i < 40; ++i) {
    many += fmt::format(R"({}{{"anyOf": [{{"minimum": {}}}, {{"maximum": {}}}]}})", i == 0 ? "" : ",", i, 100 + i);
  }
  EXPECT_EQ(compile(many + "]}").error().code, ErrorCode::kResource);
  std::string chain = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 1000; ++i) chain += fmt::format(R"("{}": {{"$ref": "#/$defs/{}"}},)", i, i + 1);
  EXPECT_EQ(compile(chain + R"("1000": true}})").error().code, ErrorCode::kResource);
  EXPECT_EQ(compile(R"({"type": "string", "minLength": 1000000000000})").error().code, ErrorCode::kResource);
  EXPECT_EQ(compile(R"({"type": "array", "minItems": 1000000000000})").error().code, ErrorCode::kResource);
  EXPECT_EQ(compile(R"({"maximum": 1e99999})").error().code, ErrorCode::kInvalidArgument);
  // Rules wait in a queue: a long chain of objects takes no stack.
  std::string objects = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 5000; ++i) {
    objects += fmt::format(R"("{}": {{"properties": {{"a": {{"$ref": "#/$defs/{}"}}}}}},)", i, i + 1);
  }
  EXPECT_TRUE(compile(objects + R"("5000": true}})"));
}

TEST(JsonSchema, JsonObject) {
  IrBuilder builder;
  const Symbol root = add_json_object({}, builder);
  const Ir ir = builder.finish(root).value();
  for (const char* text : {"{}", R"({"a": [1, {"b": null}]})"}) EXPECT_TRUE(ir_matches(ir, text)) << text;
  for (const char* text : {"[]", "1", "{", R"({"a"})"}) EXPECT_FALSE(ir_matches(ir, text)) << text;
}

TEST(JsonSchema, RulesAroundItUseItsSymbol) {
  IrBuilder builder;
  const auto a = add_json_schema(R"({"type": "null"})", {}, builder);
  const auto b = add_json_schema(R"({"type": "boolean"})", {}, builder);
  ASSERT_TRUE(a && b);
  const Ir ir =
      builder.finish(builder.sequence({builder.literal("<"), a->root, b->root, builder.literal(">")})).value();
  EXPECT_TRUE(ir_matches(ir, "<nulltrue>"));
  EXPECT_FALSE(ir_matches(ir, "<truenull>"));
}

// Schemas at random, of the keywords that are supported; which ones may differ from compiler to compiler (the order in
// which arguments are evaluated).
class RandomSchema {
 public:
  explicit RandomSchema(uint64_t seed) : random_(seed) {}

  std::string document() {
    const std::string root = body(3), d = body(2), e = body(1);
    return fmt::format(R"({{{}, "$defs": {{"d": {{{}}}, "e": {{{}}}}}}})", root, d, e);
  }

 private:
  size_t below(size_t n) { return static_cast<size_t>(random_.next() % n); }
  bool chance(size_t one_in) { return below(one_in) == 0; }
  int number() { return static_cast<int>(below(12)) - 4; }

  std::string schema(int depth) { return chance(12) ? (chance(4) ? "false" : "true") : "{" + body(depth) + "}"; }

  std::string schemas(int depth) {
    std::string list = schema(depth);
    while (chance(2)) list += ", " + schema(depth);
    return "[" + list + "]";
  }

  std::string value() {
    const char* const values[] = {"null",   "true",      "0",  "-3",         "2.5",        "7", "\"\"",
                                  "\"ab\"", "\"b\\\"\"", "[]", "[1, \"a\"]", "{\"a\": 1}", "{}"};
    return values[below(std::size(values))];
  }

  std::string body(int depth) {
    std::string out = R"("title": "t")";
    const auto add = [&](std::string_view name, const std::string& what) {
      out += fmt::format(R"(, "{}": {})", name, what);
    };
    if (depth == 0 && chance(2)) return out + R"(, "$ref": "#/$defs/)" + (chance(2) ? "d\"" : "e\"");
    constexpr const char* kTypes[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    const size_t type = below(std::size(kTypes));
    if (!chance(5)) add("type", fmt::format("\"{}\"", kTypes[type]));
    if (chance(12)) add("enum", "[" + value() + ", " + value() + ", " + value() + "]");
    if (chance(20)) add("const", value());
    if (type == 2 || type == 3) number_keywords(add);
    if (type == 4) string_keywords(add);
    if (depth > 0 && type == 5) array_keywords(add, depth);
    if (depth > 0 && type == 6) object_keywords(add, depth);
    if (depth > 0 && chance(5)) add("anyOf", schemas(depth - 1));
    if (depth > 0 && chance(6)) add("allOf", schemas(depth - 1));
    return out;
  }

  template <class Add>
  void number_keywords(const Add& add) {
    if (chance(2)) add(chance(3) ? "exclusiveMinimum" : "minimum", std::to_string(number()) + (chance(3) ? ".5" : ""));
    if (chance(2)) add(chance(3) ? "exclusiveMaximum" : "maximum", std::to_string(number() + 6));
    if (chance(6)) add("multipleOf", chance(2) ? "3" : "1");
  }

  template <class Add>
  void string_keywords(const Add& add) {
    constexpr const char* kPatterns[] = {"^a", "b$", "^[a-z]+$", "[0-9]{2}", "^(foo|bar)$"};
    constexpr const char* kFormats[] = {"date", "uuid", "ipv4", "email"};
    if (chance(3)) add("minLength", std::to_string(below(4)));
    if (chance(3)) add("maxLength", std::to_string(below(8)));
    if (chance(3)) add("pattern", fmt::format("\"{}\"", kPatterns[below(std::size(kPatterns))]));
    if (chance(8)) add("format", fmt::format("\"{}\"", kFormats[below(std::size(kFormats))]));
  }

  template <class Add>
  void array_keywords(const Add& add, int depth) {
    if (chance(2)) add("items", schema(depth - 1));
    if (chance(3)) add("prefixItems", schemas(depth - 1));
    if (chance(3)) add("minItems", std::to_string(below(3)));
    if (chance(3)) add("maxItems", std::to_string(below(5)));
    if (chance(12)) add("uniqueItems", "true");
  }

  template <class Add>
  void object_keywords(const Add& add, int depth) {
    std::string properties;
    for (const char* name : {"a", "b", "c", "d\\n"}) {
      if (!chance(3))
        properties += fmt::format(R"({}"{}": {})", properties.empty() ? "" : ", ", name, schema(depth - 1));
    }
    if (!chance(4)) add("properties", "{" + properties + "}");
    if (chance(2)) add("required", chance(2) ? R"(["a"])" : R"(["b", "z"])");
    if (chance(3)) add("additionalProperties", schema(depth - 1));
    if (chance(6)) {
      const std::string one = schema(depth - 1), two = schema(depth - 1);
      add("patternProperties", fmt::format(R"({{"^[ab]": {}, "c$": {}}})", one, two));
    }
    if (chance(10)) add("propertyNames", R"({"pattern": "^[a-z]*$", "maxLength": 2})");
    if (chance(6)) add("minProperties", std::to_string(below(3)));
    if (chance(6)) add("maxProperties", std::to_string(below(4)));
  }

  SplitMix64 random_;
};

// Every text of the grammar is a value that the schema accepts, by a validator that reads the schema directly.
TEST(JsonSchema, TextsSatisfyTheirSchema) {
  size_t n_compiled = 0, n_texts = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const std::string source = RandomSchema(seed).document();
    const auto compiled = compile(source);
    if (!compiled) {
      EXPECT_TRUE(compiled.error().message.find("matches nothing") != std::string::npos ||
                  compiled.error().code == ErrorCode::kUnsupported)
          << source << ": " << compiled.error().message;
      continue;
    }
    ++n_compiled;
    auto document = schema::Schema::parse(source).value();
    schema::Budget budget;
    schema::TextSets texts(document, budget);
    schema::Validator validator(document, texts, budget);
    SplitMix64 random(seed);
    for (int i = 0; i < 8; ++i) {
      const std::string text = ir_sample(compiled->ir, random, 20u << i);
      const auto value = schema::parse_json(text);
      if (!value) {
        // Names that are not listed may come twice, which no grammar of this kind can tell.
        EXPECT_THAT(value.error().message, HasSubstr("twice")) << source << "\n" << text;
        continue;
      }
      const auto verdict = validator.accepts(*value, document.root());
      ASSERT_TRUE(verdict) << source << ": " << verdict.error().message;
      EXPECT_TRUE(*verdict) << "seed " << seed << ": " << source << "\n" << text;
      ++n_texts;
    }
  }
  EXPECT_GT(n_compiled, 150u);
  EXPECT_GT(n_texts, 1000u);
}

}  // namespace
}  // namespace quern::grammar
