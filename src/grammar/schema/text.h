// JsonText: the pieces of JSON texts as rules of a grammar: white space, strings, lists of members, any value. Each is
// made once. Borrows the builder.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/ir.h"
#include "grammar/json_schema.h"

namespace quern::grammar::schema {

class JsonText {
 public:
  // How deep the arrays and objects of a value that may be anything nest.
  static constexpr size_t kFreeDepth = 6;
  // A string whose length has a bound is written with at most this many characters more than it must have.
  static constexpr size_t kMaxChosenLength = 16384;

  JsonText(const JsonOptions& options, IrBuilder& to);

  IrBuilder& to() { return to_; }
  Symbol never();  // matches nothing

  // Between an opening bracket or a comma and what follows it, and before a closing one.
  Symbol space() { return space_; }
  Symbol comma() { return comma_; }
  Symbol pair(Symbol name, Symbol value) { return to_.sequence({name, colon_, value}); }

  // Quotes and all. A character may be written as an escape.
  Symbol string() { return string_; }
  Symbol string(size_t least, size_t most);
  Symbol any() { return any_within(kFreeDepth); }
  Symbol any_object() { return object_within(kFreeDepth); }

 private:
  Symbol any_within(size_t depth);
  Symbol object_within(size_t depth);
  Symbol bracketed(char open, Symbol item, char close);
  Symbol at_most(size_t characters);

  IrBuilder& to_;
  Symbol space_, comma_, colon_, character_, string_;
  std::optional<Symbol> never_, scalar_;
  std::vector<Symbol> any_, object_;  // by depth
  std::vector<Symbol> at_most_;       // by the number of characters
  std::map<std::pair<size_t, size_t>, Symbol> bounded_;
};

}  // namespace quern::grammar::schema
