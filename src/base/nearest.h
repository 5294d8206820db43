// The known name that a mistyped one was probably meant to be. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

// Edits (insert, delete, replace, swap neighbours) between two short strings: O(|a| |b|) time, O(|b|) memory.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// The closest of `known`, or nullopt where none is within a third of the typed length (at least one edit). A name
// longer than 64 bytes is nobody's typing error.
template <class Names>
std::optional<std::string> nearest_name(std::string_view typed, const Names& known) {
  if (typed.size() > 64) return std::nullopt;
  size_t best = std::max<size_t>(1, typed.size() / 3) + 1;
  std::optional<std::string> found;
  for (const auto& name : known) {
    const size_t distance = edit_distance(typed, name);
    if (distance < best) {
      best = distance;
      found = std::string(name);
    }
  }
  return found;
}

}  // namespace quern
