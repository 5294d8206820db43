#include "grammar/schema/value.h"

#include <gtest/gtest.h>

namespace quern::grammar::schema {
namespace {

TEST(SchemaValue, KeepsOrderAndDigits) {
  const char* const text = R"({"b":[1,-2.50e+3,18446744073709551616],"a":{"":null,"é\n":true},"c":"\"\\"})";
  const auto value = parse_json(text);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(to_json(*value), text);
  EXPECT_EQ(value->names, (std::vector<std::string>{"b", "a", "c"}));
  ASSERT_NE(value->find("a"), nullptr);
  EXPECT_NE(value->find("a")->find(""), nullptr);
  EXPECT_EQ(value->find("d"), nullptr);
}

TEST(SchemaValue, Refuses) {
  for (const char* text : {"", "{", "[1,]", "\"\xFF\"", "{\"a\":1,\"a\":2}", "1e999", "nul", "[1] 2"}) {
    const auto value = parse_json(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, ErrorCode::kInvalidArgument) << text;
  }
  const auto nested = [](size_t n) { return parse_json(std::string(n, '[') + std::string(n, ']')); };
  EXPECT_TRUE(nested(kMaxDepth));
  for (const auto& value :
       {nested(kMaxDepth + 1), nested(100'000), parse_json("1e-12345"), parse_json(std::string(kMaxBytes + 1, ' '))}) {
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().code, ErrorCode::kResource);
  }
  std::string many = "[";
  for (size_t i = 0; i < kMaxValues; ++i) many += "0,";
  EXPECT_EQ(parse_json(many + "0]").error().code, ErrorCode::kResource);
}

TEST(SchemaValue, PointersLeadToPlacesAndBack) {
  const auto root = parse_json(R"({"$defs":{"a/b":[{},{"x~y":1}],"":true},"c":{"$id":"urn:c","d":1}})");
  ASSERT_TRUE(root);
  for (const char* pointer : {"#", "#/$defs", "#/$defs/a~1b", "#/$defs/a~1b/1/x~0y", "#/$defs/", "#/c"}) {
    const auto at = follow(*root, pointer);
    ASSERT_TRUE(at) << pointer << ": " << at.error().message;
    EXPECT_EQ(place_of(*root, (*at)->id), pointer);
  }
  EXPECT_EQ(follow(*root, "#/%24defs/a%7e1b/0").value()->id, follow(*root, "#/$defs/a~1b/0").value()->id);
  for (const char* pointer : {"#/x", "#/$defs/a~1b/2", "#/$defs/a~1b/01", "#/$defs/a~1b/-", "#/%2", "#/%zz"}) {
    ASSERT_FALSE(follow(*root, pointer)) << pointer;
    EXPECT_EQ(follow(*root, pointer).error().code, ErrorCode::kInvalidArgument) << pointer;
  }
  for (const char* pointer : {"", "a.json", "#anchor", "#/c/d"}) {
    ASSERT_FALSE(follow(*root, pointer)) << pointer;
    EXPECT_EQ(follow(*root, pointer).error().code, ErrorCode::kUnsupported) << pointer;
  }
}

}  // namespace
}  // namespace quern::grammar::schema
