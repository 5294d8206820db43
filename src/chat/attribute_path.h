// The `attribute` argument of filters: "address.city", "items.0", or a number.
#pragma once

#include <vector>

#include "chat/runtime.h"

namespace quern::jinja {

class AttributePath {
 public:
  // None and undefined give the empty path: the item itself.
  AttributePath(Runtime& rt, const Value& attribute);
  // `fallback`, unless none or undefined, stands in for what is undefined on the way.
  [[nodiscard]] Value get(Runtime& rt, Value item, const Value& fallback = Value::none()) const;
  [[nodiscard]] bool empty() const { return parts_.empty(); }

 private:
  std::vector<Value> parts_;
};

// Jinja2's ignore_case: text in lower case, all else unchanged.
Value ignore_case(Runtime& rt, const Value& v);

}  // namespace quern::jinja
