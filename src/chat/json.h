// JSON in and out of template values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "chat/runtime.h"

namespace quern::jinja {

// What Python's json.dumps takes.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// json.dumps(value); raises a TypeError for what JSON cannot hold (an undefined value, a generator).
std::string to_json_text(Runtime& rt, const Value& value, const JsonStyle& style);

// A context as values; raises for text that is not UTF-8 and integers beyond 64 bits.
Value from_json(Runtime& rt, const nlohmann::ordered_json& json);

}  // namespace quern::jinja
