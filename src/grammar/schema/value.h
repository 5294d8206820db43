// Value: JSON as a schema's reader wants it. Members keep their order, numbers their text, and each value has an id by
// which sets of schemas are told apart and places are named.
//
// parse_json() bounds size, depth and number of values; what it refuses is kInvalidArgument (malformed, a name twice in
// an object) or kResource (a bound). Values are immutable once parsed; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern::grammar::schema {

struct Value {
  enum class Kind : uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  uint32_t id = 0;                 // in document order, the root is 0
  std::string text;                // a string's characters, a number's digits as they are written
  std::vector<std::string> names;  // of an object's members
  std::vector<Value> items;        // an array's items, an object's values
  std::vector<uint32_t> by_name;   // an object's members in order of their names

  [[nodiscard]] bool is(Kind k) const { return kind == k; }
  [[nodiscard]] bool is_boolean() const { return kind == Kind::kFalse || kind == Kind::kTrue; }
  // An object's member; nullptr: there is none, or it is no object.
  [[nodiscard]] const Value* find(std::string_view name) const;
};

inline constexpr size_t kMaxBytes = size_t{1} << 20;
inline constexpr size_t kMaxValues = 200'000;
inline constexpr size_t kMaxDepth = 100;

Result<Value> parse_json(std::string_view text);

// "#/properties/age": where in `root` the value `id` stands.
std::string place_of(const Value& root, uint32_t id);
// What a JSON pointer in a URI fragment ("#", "#/$defs/a~1b") names. kInvalidArgument: nothing; kUnsupported: an
// anchor, another document, or a place within a schema that has a base of its own ($id).
Result<const Value*> follow(const Value& root, std::string_view reference);

// As JSON without white space.
std::string to_json(const Value& value);
std::string json_quoted(std::string_view text);

}  // namespace quern::grammar::schema
