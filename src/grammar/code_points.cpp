#include "grammar/code_points.h"

#include <algorithm>

namespace quern::grammar {
namespace {

constexpr bool is_surrogate(uint32_t cp) {
  return cp >= 0xD800 && cp <= 0xDFFF;
}

}  // namespace

CodePoints normalized(CodePoints ranges) {
  std::sort(ranges.begin(), ranges.end());
  CodePoints merged;
  for (IrBuilder::Range r : ranges) {
    if (is_surrogate(r.first)) r.first = 0xE000;
    r.last = is_surrogate(r.last) ? 0xD7FF : std::min(r.last, kLastCodePoint);
    if (r.first > r.last) continue;
    if (!merged.empty() && r.first <= code_point_after(merged.back().last)) {
      merged.back().last = std::max(merged.back().last, r.last);
    } else {
      merged.push_back(r);
    }
  }
  return merged;
}

CodePoints complement(const CodePoints& set) {
  CodePoints others;
  uint32_t from = 0;
  for (const auto& r : set) {
    if (r.first > from) others.push_back({from, code_point_before(r.first)});
    from = code_point_after(r.last);
  }
  if (from <= kLastCodePoint) others.push_back({from, kLastCodePoint});
  return others;
}

CodePoints difference(const CodePoints& a, const CodePoints& b) {
  CodePoints outside = complement(a);
  append(outside, b);
  return complement(normalized(std::move(outside)));
}

bool contains(const CodePoints& set, uint32_t cp) {
  const auto after =
      std::upper_bound(set.begin(), set.end(), cp, [](uint32_t c, const auto& r) { return c < r.first; });
  return after != set.begin() && cp <= std::prev(after)->last;
}

void append(CodePoints& to, const CodePoints& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace quern::grammar
