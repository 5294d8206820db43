// What a Profile says beside the limits of the machine: the lines of its tables, longest first. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "bench/kernel_speed.h"
#include "bench/limits.h"
#include "quern/quern.h"

namespace quern {

struct ProfileLine {
  std::string name;  // an operation, or "layer 3"
  size_t calls = 0;
  double seconds = 0;
  double share_of_time = 0;  // of the phase
  double bytes_per_s = 0;    // of all operands
  double macs_per_s = 0;
  // The least time that the limits allow, over the time it took: memory's for weights, keys and values at the read
  // bandwidth, arithmetic's for the multiply-adds at their peaks, per operation the greater of the two. 0 for kCache.
  double limit_share = 0;
  // What is the greater of the two. kCache: the operands are activations alone, which a cache holds; its speed is not
  // measured. nullopt: no operation of the backend.
  std::optional<Bound> bound;
};

enum class ProfileBy : uint8_t { kOperation, kLayer };

// One line for each operation, or for each layer and for what is outside of them; seconds and shares of time add up to
// the phase's. By operation the longest is first, by layer they are in order. `total` sums up the phase.
struct ProfileTable {
  std::vector<ProfileLine> lines;
  ProfileLine total;
};
ProfileTable profile_table(const ProfilePhase& phase, const MachineLimits& limits, ProfileBy by);

}  // namespace quern
