// Node: one schema of a document, its keywords read and checked; Schema: the document, and its nodes as they are asked
// for.
//
// Every keyword is either in Node, or known to say nothing about a value (title, default, ...), or refused by name with
// its place: kUnsupported. What a keyword must not hold (a negative length, a type that there is not) is
// kInvalidArgument. Source: JSON Schema draft 2020-12, core and validation. A Schema is used by one thread.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/schema/decimal.h"
#include "grammar/schema/value.h"

namespace quern::grammar::schema {

// Types as bits. A number is an integer or a fraction.
using Types = uint8_t;
inline constexpr Types kNull = 1, kBoolean = 2, kInteger = 4, kFraction = 8, kString = 16, kArray = 32, kObject = 64;
inline constexpr Types kNumber = kInteger | kFraction, kAnyType = 127;

inline constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

struct Node {
  const Value* value = nullptr;
  bool never = false;  // the schema `false`
  bool typed = false;  // it has `type`, `enum` or `const`
  Types types = kAnyType;
  Types about = 0;       // the types that its other keywords say something about
  bool asserts = false;  // it has keywords other than those of the next four lines
  unsigned height = 1;   // how many levels of them are below it, and itself

  const Value* ref = nullptr;
  std::vector<const Value*> all_of, any_of, one_of;

  const Value* enumeration = nullptr;  // an array
  const Value* constant = nullptr;

  std::optional<Decimal> minimum, maximum, above, below, multiple_of;  // above and below: exclusiveMinimum and -Maximum

  const Value* pattern = nullptr;
  const Value* format = nullptr;
  size_t min_length = 0, max_length = kNoLimit;

  std::vector<const Value*> prefix_items;
  const Value* items = nullptr;
  size_t min_items = 0, max_items = kNoLimit;
  const Value* unique_items = nullptr;

  const Value* properties = nullptr;  // an object
  std::vector<std::string_view> required;
  const Value* additional = nullptr;
  const Value* pattern_properties = nullptr;  // an object
  const Value* property_names = nullptr;
  size_t min_properties = 0, max_properties = kNoLimit;
};

class Schema {
 public:
  // How deep $ref, allOf, anyOf and oneOf may nest without an object or array between them.
  static constexpr unsigned kMaxHeight = 32;

  explicit Schema(Value root) : root_(std::move(root)) {}
  static Result<Schema> parse(std::string_view text);

  [[nodiscard]] const Value& root() const { return root_; }
  // The schema that stands at `value`, and all that it applies to the same instance, read and checked. The node lives
  // as long as the Schema, which must not be moved from then on.
  Result<const Node*> node(const Value& value);
  // One that node() gave.
  [[nodiscard]] const Node& known(uint32_t id) const { return *nodes_.at(id); }
  [[nodiscard]] std::string place(const Value& value) const { return place_of(root_, value.id); }

 private:
  Result<const Node*> read(const Value& value, unsigned depth);

  Value root_;
  std::unordered_map<uint32_t, std::unique_ptr<Node>> nodes_;  // nullptr: being read
};

}  // namespace quern::grammar::schema
