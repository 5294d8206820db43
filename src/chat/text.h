// Operations on text that filters and methods share: strip, split, replace, lines. Semantics are Python's str.
//
// Pure functions on valid UTF-8; views point into the argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/runtime.h"

namespace quern::jinja {

enum class Side : uint8_t { kBoth, kLeft, kRight };

// Without `chars`: strips white space.
std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> chars);
// At white space, empty parts left out; at most max_splits cuts (negative: all), from the left or the right. What is
// left when the cuts are used up keeps the space at its far end.
std::vector<std::string_view> split_space(std::string_view text, int64_t max_splits, bool from_right);
// At a separator that is not empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t max_splits,
                                       bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
// At most `count` replacements (negative: all).
std::string replace(Runtime& rt, std::string_view text, std::string_view from, std::string_view to, int64_t count);

}  // namespace quern::jinja
