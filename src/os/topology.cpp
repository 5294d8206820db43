#include "os/topology.h"

#include <fmt/format.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <thread>
#include <utility>

#include "os/small_file.h"

namespace quern {

namespace {

template <class Field>
size_t count_distinct(const std::vector<Cpu>& cpus, Field field) {
  std::vector<unsigned> values;
  for (const Cpu& cpu : cpus) values.push_back(field(cpu));
  std::sort(values.begin(), values.end());
  return static_cast<size_t>(std::unique(values.begin(), values.end()) - values.begin());
}

std::vector<unsigned> read_cpu_list(const std::string& path) {
  const auto text = read_small_file(path);
  return text ? parse_cpu_list(*text).value_or(std::vector<unsigned>{}) : std::vector<unsigned>{};
}

// -1 (not known, as on some ARM machines) and nonsense count as 0.
unsigned read_id(const std::string& path) {
  return static_cast<unsigned>(std::min<uint64_t>(read_u64_file(path).value_or(0), kMaxCpuId));
}

std::vector<Cache> read_caches(const std::string& cpu_folder) {
  constexpr int kMaxCaches = 16;
  std::vector<Cache> caches;
  for (int i = 0; i < kMaxCaches; ++i) {
    const std::string folder = fmt::format("{}/cache/index{}", cpu_folder, i);
    const auto level = read_u64_file(folder + "/level");
    if (!level) break;
    Cache cache;
    cache.level = static_cast<unsigned>(std::min<uint64_t>(*level, kMaxCaches));
    cache.instructions_only = trim(read_small_file(folder + "/type").value_or("")) == "Instruction";
    cache.bytes = parse_size(read_small_file(folder + "/size").value_or("")).value_or(0);
    cache.line_bytes = read_u64_file(folder + "/coherency_line_size").value_or(0);
    cache.cpus = std::max<size_t>(1, read_cpu_list(folder + "/shared_cpu_list").size());
    caches.push_back(cache);
  }
  std::sort(caches.begin(), caches.end(), [](const Cache& a, const Cache& b) {
    return std::pair(a.level, a.instructions_only) < std::pair(b.level, b.instructions_only);
  });
  return caches;
}

void read_nodes(const std::string& root, std::vector<Cpu>& cpus) {
  for (const unsigned node : read_cpu_list(root + "/sys/devices/system/node/online")) {
    for (const unsigned id : read_cpu_list(fmt::format("{}/sys/devices/system/node/node{}/cpulist", root, node))) {
      const auto at = std::lower_bound(cpus.begin(), cpus.end(), id, [](const Cpu& c, unsigned v) { return c.id < v; });
      if (at != cpus.end() && at->id == id) at->node = node;
    }
  }
}

}  // namespace

size_t Topology::physical_cores() const {
  return count_distinct(cpus, [](const Cpu& cpu) { return cpu.core; });
}

size_t Topology::packages() const {
  return count_distinct(cpus, [](const Cpu& cpu) { return cpu.package; });
}

size_t Topology::nodes() const {
  return count_distinct(cpus, [](const Cpu& cpu) { return cpu.node; });
}

std::vector<unsigned> Topology::one_cpu_per_core() const {
  std::vector<unsigned> cores;
  std::vector<unsigned> ids;
  for (const Cpu& cpu : cpus) {
    if (std::find(cores.begin(), cores.end(), cpu.core) != cores.end()) continue;
    cores.push_back(cpu.core);
    ids.push_back(cpu.id);
  }
  return ids;
}

std::vector<unsigned> allowed_cpus() {
  std::vector<unsigned> ids;
#ifdef __linux__
  // The kernel's mask may be longer than cpu_set_t (1,024): grow until it fits.
  for (unsigned bits = CPU_SETSIZE; bits <= kMaxCpuId + 1; bits *= 2) {
    cpu_set_t* set = CPU_ALLOC(bits);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(bits);
    CPU_ZERO_S(bytes, set);
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    for (unsigned id = 0; known && id < bits; ++id) {
      if (CPU_ISSET_S(id, bytes, set)) ids.push_back(id);
    }
    CPU_FREE(set);
    if (known) break;
  }
#endif
  if (ids.empty()) {
    for (unsigned id = 0; id < std::max(1u, std::thread::hardware_concurrency()); ++id) ids.push_back(id);
  }
  return ids;
}

Topology read_topology(const std::vector<unsigned>& allowed, const std::string& root) {
  Topology topology;
  for (const unsigned id : allowed) {
    const std::string folder = fmt::format("{}/sys/devices/system/cpu/cpu{}/topology/", root, id);
    // core_id repeats between dies and packages on some machines; the list of siblings does not.
    std::vector<unsigned> siblings = read_cpu_list(folder + "core_cpus_list");
    if (siblings.empty()) siblings = read_cpu_list(folder + "thread_siblings_list");
    topology.cpus.push_back({.id = id,
                             .core = siblings.empty() ? id : siblings.front(),
                             .package = read_id(folder + "physical_package_id"),
                             .node = 0});
  }
  std::sort(topology.cpus.begin(), topology.cpus.end(), [](const Cpu& a, const Cpu& b) { return a.id < b.id; });
  read_nodes(root, topology.cpus);
  if (!topology.cpus.empty()) {
    topology.caches = read_caches(fmt::format("{}/sys/devices/system/cpu/cpu{}", root, topology.cpus.front().id));
  }
  return topology;
}

ThreadCount choose_threads(const Topology& topology, const CgroupLimits& limits) {
  const size_t cores = std::max<size_t>(1, topology.physical_cores());
  ThreadCount count{static_cast<unsigned>(cores), fmt::format("{} physical cores of {} processors allowed", cores,
                                                              std::max(cores, topology.cpus.size()))};
  if (limits.cpus && *limits.cpus < static_cast<double>(cores)) {
    count.threads = std::max(1u, static_cast<unsigned>(*limits.cpus));
    count.reason = fmt::format("the control group's quota of {:.4g} cores, below {}", *limits.cpus, count.reason);
  }
  return count;
}

ThreadCount default_threads() {
  const CgroupLimits limits = read_cgroup_limits();
  std::vector<unsigned> allowed = allowed_cpus();
  // The affinity mask already lies within the cpuset; asked again for systems that emulate Linux and do not do so.
  if (!limits.cpuset.empty()) {
    std::vector<unsigned> both;
    std::set_intersection(allowed.begin(), allowed.end(), limits.cpuset.begin(), limits.cpuset.end(),
                          std::back_inserter(both));
    if (!both.empty()) allowed = std::move(both);
  }
  return choose_threads(read_topology(allowed), limits);
}

}  // namespace quern
