// What the control group of this process allows it: processor time, processors, memory.
//
// A container's limits are not in sched_getaffinity or sysinfo; a program that sizes its threads by the machine then
// runs 96 threads on 7.65 cores' worth of time and is throttled inside every barrier. Read once at start: limits may
// change later, and a caller that cares reads again. Any thread may call; nothing fails: what cannot be read does not
// limit.
// Sources: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/{cpusets,memory}.rst, scheduler/sched-bwc.rst,
// proc(5) for mountinfo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace quern {

struct CgroupLimits {
  std::optional<double> cpus;            // processor time per time, in cores: 7.65 is 765 ms in every 100 ms
  std::optional<uint64_t> memory_bytes;  // the least limit on the way to the root
  std::optional<uint64_t> memory_free;   // how far the group that is nearest to its limit may still grow
  std::vector<unsigned> cpuset;          // processors allowed, ascending; empty when not restricted
};

// The tightest of the group of the calling process and its ancestors as far as they are visible, version 1, 2 or both
// mounted. `root` stands before /proc and the mount points: a test gives a folder with a made-up machine.
CgroupLimits read_cgroup_limits(const std::string& root = "");

}  // namespace quern
