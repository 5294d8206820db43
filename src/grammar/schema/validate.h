// Validator: whether a value satisfies a schema, for what a schema itself lists: the values of enum and const. Exact,
// oneOf included. What a schema asks that cannot be told is kUnsupported; too much work is kResource. One thread.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "grammar/dfa.h"
#include "grammar/schema/node.h"

namespace quern::grammar::schema {

// What one schema may cost, so that a hostile one is refused in time.
class Budget {
 public:
  static constexpr size_t kSteps = 20'000'000;

  Status spend(size_t steps) {
    left_ -= std::min(left_, steps);
    if (left_ == 0) return fail(ErrorCode::kResource, "the schema takes too much work: it has too many combinations");
    return {};
  }
  // Automata with so many states were made.
  Status spend_states(size_t states) {
    constexpr size_t kStepsOfState = 50;
    return spend(states * kStepsOfState);
  }

 private:
  size_t left_ = kSteps;
};

// The texts of patterns and formats, each made once.
class TextSets {
 public:
  TextSets(const Schema& schema, Budget& budget) : schema_(schema), budget_(budget) {}
  // `at`: whom an error names.
  Result<const Dfa*> pattern(const std::string& pattern, const Value& at);
  Result<const Dfa*> pattern(const Value& pattern) { return this->pattern(pattern.text, pattern); }
  Result<const Dfa*> format(const Value& format);

 private:
  Result<const Dfa*> keep(std::string key, Result<Dfa> made, const Value& at);

  const Schema& schema_;
  Budget& budget_;
  std::map<std::string, Dfa, std::less<>> made_;
};

class Validator {
 public:
  Validator(Schema& schema, TextSets& texts, Budget& budget) : schema_(schema), texts_(texts), budget_(budget) {}
  // `listed`: the instance is known to be one of the values of the schema's enum or const.
  Result<bool> accepts(const Value& instance, const Value& schema, bool listed = false);
  // 1 and 1.0 are, objects whatever their order.
  Result<bool> equal(const Value& a, const Value& b);

 private:
  static constexpr size_t kMaxDepth = 1000;

  Result<bool> applied(const Value& instance, const Node& node);
  Result<bool> listed(const Value& instance, const Node& node);
  Result<bool> number(const Value& instance, const Node& node);
  Result<bool> string(const Value& instance, const Node& node);
  Result<bool> array(const Value& instance, const Node& node);
  Result<bool> object(const Value& instance, const Node& node);
  Result<bool> member(const std::string& name, const Value& value, const Node& node);

  Schema& schema_;
  TextSets& texts_;
  Budget& budget_;
  size_t depth_ = 0;
};

// What one schema object asks of a member's value: properties, patternProperties, or additionalProperties.
Result<std::vector<const Value*>> schemas_of_member(const std::string& name, const Node& node, TextSets& texts);

// As JSON Schema counts them: code points.
size_t characters(std::string_view utf8);
Types type_of(const Value& value);

}  // namespace quern::grammar::schema
