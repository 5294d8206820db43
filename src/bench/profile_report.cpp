#include "bench/profile_report.h"

#include <algorithm>
#include <map>

namespace quern {

namespace {

// The sums behind a line.
struct Sums {
  ProfileRow all;
  double memory_s = 0, int_s = 0, float_s = 0;  // least times, of operations that each of them binds
  bool computes = false;                        // is or has an operation of the backend

  void add(const ProfileRow& row, const MachineLimits& limits) {
    all.calls += row.calls;
    all.seconds += row.seconds;
    all.memory_bytes += row.memory_bytes;
    all.cache_bytes += row.cache_bytes;
    all.int_macs += row.int_macs;
    all.float_macs += row.float_macs;
    computes = computes || row.memory_bytes + row.cache_bytes > 0;
    const double memory = row.memory_bytes / limits.read_bytes_per_s;
    const double integer = row.int_macs / limits.int_macs_per_s, real = row.float_macs / limits.float_macs_per_s;
    if (memory >= integer + real) {
      memory_s += memory;
    } else {
      int_s += integer;
      float_s += real;
    }
  }

  [[nodiscard]] ProfileLine line(std::string name, double phase_seconds) const {
    ProfileLine l{.name = std::move(name), .calls = all.calls, .seconds = all.seconds};
    l.share_of_time = phase_seconds > 0 ? all.seconds / phase_seconds : 0;
    if (!computes || all.seconds <= 0) return l;
    l.bytes_per_s = (all.memory_bytes + all.cache_bytes) / all.seconds;
    l.macs_per_s = (all.int_macs + all.float_macs) / all.seconds;
    l.limit_share = (memory_s + int_s + float_s) / all.seconds;
    const double most = std::max({memory_s, int_s, float_s});
    l.bound = most == 0          ? Bound::kCache
              : most == memory_s ? Bound::kMemory
              : most == int_s    ? Bound::kInteger
                                 : Bound::kFloat;
    return l;
  }
};

}  // namespace

ProfileTable profile_table(const ProfilePhase& phase, const MachineLimits& limits, ProfileBy by) {
  // Rows outside the layers come after all layers.
  std::map<std::pair<size_t, std::string>, Sums> groups;
  Sums total;
  for (const ProfileRow& row : phase.rows) {
    const bool as_layer = by == ProfileBy::kLayer && row.layer;
    const size_t place = by == ProfileBy::kOperation ? 0 : row.layer.value_or(SIZE_MAX);
    groups[{place, as_layer ? fmt::format("layer {}", *row.layer) : row.op}].add(row, limits);
    total.add(row, limits);
  }
  ProfileTable table{.lines = {}, .total = total.line("all", phase.seconds)};
  for (const auto& [key, sums] : groups) table.lines.push_back(sums.line(key.second, phase.seconds));
  if (by == ProfileBy::kOperation) {
    std::stable_sort(table.lines.begin(), table.lines.end(),
                     [](const ProfileLine& a, const ProfileLine& b) { return a.seconds > b.seconds; });
  }
  return table;
}

}  // namespace quern
