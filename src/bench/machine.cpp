#include "bench/machine.h"

#include <algorithm>

#include "os/cgroup.h"
#include "os/cpu_model.h"
#include "os/memory.h"
#include "os/topology.h"

namespace quern {

Machine read_machine() {
  const Topology topology = read_topology(allowed_cpus());
  Machine machine{.cpu = cpu_model(),
                  .processors = static_cast<unsigned>(topology.cpus.size()),
                  .cores = static_cast<unsigned>(topology.physical_cores()),
                  .quota = read_cgroup_limits().cpus.value_or(0),
                  .last_cache_bytes = 0,
                  .memory_bytes = read_memory().total.value_or(0)};
  for (const Cache& cache : topology.caches) machine.last_cache_bytes = std::max(machine.last_cache_bytes, cache.bytes);
  return machine;
}

Build this_build() {
  Build build;
#if defined(__clang__)
  build.compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
  build.compiler = "gcc " __VERSION__;
#else
  build.compiler = "unknown compiler";
#endif
#if defined(NDEBUG) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  build.optimized = true;
#endif
  return build;
}

}  // namespace quern
