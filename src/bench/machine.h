// The machine and the build that a figure belongs to, in words.
#pragma once

#include <cstdint>
#include <string>

namespace quern {

struct Machine {
  std::string cpu;                     // as the processor calls itself
  unsigned processors = 0, cores = 0;  // that this process may use
  double quota = 0;                    // cores' worth of time that the control group grants; 0: no limit
  uint64_t last_cache_bytes = 0;
  uint64_t memory_bytes = 0;
};

struct Build {
  std::string compiler;
  bool optimized = false;  // NDEBUG and no sanitizer: figures mean something
};

// Reads /proc and /sys anew. Any thread.
Machine read_machine();
Build this_build();

}  // namespace quern
