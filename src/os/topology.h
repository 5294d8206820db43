// Which processors this process may use, and how they share cores, packages, memory nodes and caches.
//
// Read once at start and kept by value. Any thread may call; nothing fails: where sysfs is absent every allowed
// processor counts as a core of its own, on package 0 and node 0.
// Source: Linux Documentation/admin-guide/cputopology.rst, ABI/testing/sysfs-devices-system-cpu.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "os/cgroup.h"

namespace quern {

struct Cpu {
  unsigned id = 0;       // as in sched_setaffinity
  unsigned core = 0;     // the lowest id that shares this physical core, allowed or not
  unsigned package = 0;  // socket
  unsigned node = 0;     // NUMA node
};

struct Cache {
  unsigned level = 0;
  bool instructions_only = false;
  uint64_t bytes = 0;
  uint64_t line_bytes = 0;
  size_t cpus = 0;  // processors that share it, allowed or not
};

struct Topology {
  std::vector<Cpu> cpus;      // the allowed ones, by id
  std::vector<Cache> caches;  // of the first allowed processor, nearest first

  [[nodiscard]] size_t physical_cores() const;
  [[nodiscard]] size_t packages() const;
  [[nodiscard]] size_t nodes() const;
  // The first allowed processor of each physical core, ascending: where a pinned pool puts its threads.
  [[nodiscard]] std::vector<unsigned> one_cpu_per_core() const;
};

// Processors on which the scheduler may put this process, ascending; never empty.
std::vector<unsigned> allowed_cpus();

// `root` stands before /sys, so that a test can give a folder with a made-up machine.
Topology read_topology(const std::vector<unsigned>& allowed, const std::string& root = "");

struct ThreadCount {
  unsigned threads = 1;
  std::string reason;  // for the log and for reports: "4 physical cores of 8 processors"
};

// min(physical cores allowed, whole cores of the quota), at least 1. A second hardware thread of a core shares its
// multipliers and its path to memory, so it does not count. Rounds the quota down: one thread more than there is time
// for is throttled at the end of each period, and all others wait for it.
ThreadCount choose_threads(const Topology& topology, const CgroupLimits& limits);

// The same for this process, now.
ThreadCount default_threads();

}  // namespace quern
