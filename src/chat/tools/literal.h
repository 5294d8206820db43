// Values that models write where JSON is not asked for: Python's literals ({'a': [1, True, None]}, 'text'), gemma's
// ({a:[1,true],b:<|"|>text<|"|>}), and JSON itself. Nesting is bounded; nothing is evaluated. Any thread.
// Source: Python's reference, 2.4 and 6.2; gemma 4's template.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quern::tools {

// The whole text is one value; absent when it is none.
std::optional<nlohmann::ordered_json> read_literal(std::string_view text);

// What stands between the parentheses of a call, f(1, b="x"): arguments without a name get those of `positions` in
// order. Absent when malformed, or a name comes twice.
std::optional<nlohmann::ordered_json> read_keywords(std::string_view text, std::span<const std::string> positions);

// How gemma writes a value: keys bare and sorted, strings between <|"|>. Null is None, as its template prints it.
std::string bare_literal(const nlohmann::ordered_json& value);
// As Python writes it, of JSON's kinds.
std::string python_literal(const nlohmann::ordered_json& value);

}  // namespace quern::tools
