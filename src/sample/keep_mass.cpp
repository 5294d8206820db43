#include "sample/keep_mass.h"

#include <algorithm>
#include <array>
#include <span>

namespace quern {
namespace {

constexpr size_t kBuckets = 1024;
constexpr size_t kSortable = 512;

// Buckets of equal width between the least and the greatest key, which lie in different ones.
struct Buckets {
  double least = INFINITY, most = -INFINITY, per_key = 0;

  Buckets(const MassCut& cut, std::span<const Candidate> candidates) {
    for (const Candidate& c : candidates) {
      const double key = cut.key(c);
      least = key < least ? key : least;
      most = key > most ? key : most;
    }
    per_key = static_cast<double>(kBuckets - 1) / (most - least);
  }
  [[nodiscard]] bool one() const { return !(least < most); }
  [[nodiscard]] size_t of(double key) const {
    return static_cast<size_t>((key - least) * per_key);  // rounding does not reach kBuckets
  }
};

}  // namespace

double keep_mass(const MassCut& cut, std::vector<Candidate>& candidates, std::vector<Candidate>& scratch) {
  scratch.reserve(candidates.capacity());
  double sum = 0;                                // of all before the open ones
  std::span<const Candidate> open = candidates;  // among them the sum is reached; all, or a part that lies in scratch
  bool whole = true;
  while (open.size() > kSortable) {
    const Buckets buckets(cut, open);
    if (buckets.one()) break;
    std::array<double, kBuckets> mass = {};
    for (const Candidate& c : open) mass[buckets.of(cut.key(c))] += c.weight;
    size_t at = 0;
    while (at < kBuckets && !cut.reached(sum + mass[at])) sum += mass[at++];
    if (at == kBuckets) {
      if (whole) return sum;
      sum -= mass[--at];  // a part that reached it in another order of addition: it ends with the part
    }
    scratch.resize(open.size());
    size_t n = 0;
    for (const Candidate& c : open) {
      if (buckets.of(cut.key(c)) == at) scratch[n++] = c;  // in place where open lies in scratch
    }
    open = std::span<const Candidate>(scratch).first(n);
    whole = false;
  }
  whole ? scratch.assign(open.begin(), open.end()) : scratch.resize(open.size());
  const auto before = [&cut](const Candidate& a, const Candidate& b) { return cut.before(a, b); };
  if (!std::is_sorted(scratch.begin(), scratch.end(), before)) std::sort(scratch.begin(), scratch.end(), before);
  for (size_t i = 0; i < scratch.size(); ++i) {
    sum += scratch[i].weight;
    if (!cut.reached(sum) && (whole || i + 1 < scratch.size())) continue;
    std::erase_if(candidates, [&](const Candidate& other) { return before(scratch[i], other); });
    break;
  }
  return sum;
}

}  // namespace quern
