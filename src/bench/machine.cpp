#include "bench/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "os/cgroup.h"
#include "os/memory.h"
#include "os/small_file.h"
#include "os/topology.h"

namespace quern {

namespace {

// The value after "key   : " in /proc/cpuinfo, of the first processor.
std::optional<std::string> cpuinfo_field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view value = take_until(text, '\n');
    if (trim(take_until(value, ':')) == key) return std::string(trim(value));
  }
  return std::nullopt;
}

}  // namespace

std::string cpu_model() {
  const std::string text = read_small_file("/proc/cpuinfo").value_or("");
  if (const auto name = cpuinfo_field(text, "model name")) {
    // Virtual machines often call all generations of a maker the same: the numbers tell them apart.
    const auto family = cpuinfo_field(text, "cpu family"), model = cpuinfo_field(text, "model");
    return family && model ? fmt::format("{} (family {} model {})", *name, *family, *model) : *name;
  }
  const auto maker = cpuinfo_field(text, "CPU implementer"), part = cpuinfo_field(text, "CPU part");
  return maker && part ? fmt::format("ARM implementer {} part {}", *maker, *part) : "unknown processor";
}

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
