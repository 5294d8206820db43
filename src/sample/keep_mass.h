// keep_mass: the least candidates of an order that together reach a probability, found without sorting them all. The
// common part of nucleus and locally typical sampling.
//
// The order is by key, |logit - max - centre|, upwards, then `likelier`. Weights are summed by buckets of the key, then
// the one bucket in which the sum is reached is divided again until it is short enough to sort: time in proportion to
// the candidates. A pure function, any thread; nothing is allocated once `scratch` has seen the size.
#pragma once

#include <cmath>
#include <vector>

#include "sample/logit_scan.h"

namespace quern {

struct MassCut {
  double max;      // the greatest logit
  double centre;   // 0 for nucleus sampling: the likeliest come first
  double enough;   // sum of weights
  bool inclusive;  // a sum equal to `enough` is enough

  [[nodiscard]] double key(const Candidate& c) const { return std::fabs(static_cast<double>(c.logit) - max - centre); }
  [[nodiscard]] bool before(const Candidate& a, const Candidate& b) const {
    const double x = key(a), y = key(b);
    return x < y || (x == y && likelier(a, b));
  }
  [[nodiscard]] bool reached(double sum) const { return inclusive ? sum >= enough : sum > enough; }
};

// Removes the candidates after the one at which the sum of weights is enough, and leaves the order of the others.
// Returns the sum that is kept; all are kept where it never is enough.
double keep_mass(const MassCut& cut, std::vector<Candidate>& candidates, std::vector<Candidate>& scratch);

}  // namespace quern
