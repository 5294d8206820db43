#include "os/memory.h"

#include <sys/resource.h>

#include "os/small_file.h"

namespace quern {

MemoryFigures read_memory(const std::string& root) {
  MemoryFigures figures;
  if (const auto meminfo = read_small_file(root + "/proc/meminfo")) {
    figures.total = find_figure(*meminfo, "MemTotal");
    figures.available = find_figure(*meminfo, "MemAvailable");
  }
  const CgroupLimits limits = read_cgroup_limits(root);
  if (limits.memory_bytes && (!figures.total || *limits.memory_bytes < *figures.total)) {
    figures.total = limits.memory_bytes;
    figures.limited_by_cgroup = true;
  }
  if (limits.memory_free && (!figures.available || *limits.memory_free < *figures.available)) {
    figures.available = limits.memory_free;
  }
  if (const auto status = read_small_file(root + "/proc/self/status")) {
    figures.resident = find_figure(*status, "VmRSS");
    figures.peak_resident = find_figure(*status, "VmHWM");
  }
  if (!figures.peak_resident && root.empty()) {
    // Coarser: it survives exec, so a small program started by a large one reports the large one's peak.
    struct rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) == 0) {
      figures.peak_resident = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
    }
  }
  return figures;
}

}  // namespace quern
