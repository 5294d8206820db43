#include "os/cgroup.h"

#include <algorithm>
#include <string_view>

#include "os/small_file.h"

namespace quern {

namespace {

// Version 1 says "no limit" by the largest multiple of a page; anything near it is no limit.
constexpr uint64_t kUnlimited = uint64_t{1} << 62;

struct Mount {
  std::string point;       // where it is seen
  std::string group_root;  // the group that is shown there: "/" outside a container
  std::string type;        // cgroup, cgroup2
  std::string options;     // version 1: the controllers, by commas
};

// The folders to read, from the group of the process up to the mount point; folders[0] is its own.
struct Hierarchy {
  bool v2 = false;
  std::vector<std::string> folders;
};

// mountinfo writes a space in a path as \040.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](size_t k) { return i + k < text.size() && text[i + k] >= '0' && text[i + k] <= '7'; };
    if (text[i] == '\\' && octal(1) && octal(2) && octal(3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    if (take_until(list, ',') == word) return true;
  }
  return false;
}

// "31 23 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
std::vector<Mount> parse_mounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  while (!mountinfo.empty()) {
    std::string_view line = take_until(mountinfo, '\n');
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view tail = line.substr(dash + 3);
    const std::string_view type = take_until(tail, ' ');
    if (type != "cgroup" && type != "cgroup2") continue;
    take_until(tail, ' ');
    for (int field = 0; field < 3; ++field) take_until(line, ' ');
    const std::string_view group_root = take_until(line, ' ');
    mounts.push_back({unescape(take_until(line, ' ')), unescape(group_root), std::string(type), std::string(tail)});
  }
  return mounts;
}

// The path of this process in the hierarchy of `controller` ("" for version 2), from lines "4:memory:/a/b".
std::optional<std::string> group_path(std::string_view proc_cgroup, std::string_view controller) {
  while (!proc_cgroup.empty()) {
    std::string_view line = take_until(proc_cgroup, '\n');
    const std::string_view id = take_until(line, ':');
    const std::string_view controllers = take_until(line, ':');
    if (controller.empty() ? (id == "0" && controllers.empty()) : has_word(controllers, controller)) {
      return std::string(line);
    }
  }
  return std::nullopt;
}

std::vector<std::string> folders_upwards(const std::string& root, const Mount& mount, std::string path) {
  // In a container the mount shows a group below the host's root while /proc/self/cgroup may name the host's path; a
  // path that is not below the shown group (or climbs out by "..") cannot be followed: the mount point is all we see.
  if (mount.group_root != "/") {
    const bool below = path.starts_with(mount.group_root) &&
                       (path.size() == mount.group_root.size() || path[mount.group_root.size()] == '/');
    path = below ? path.substr(mount.group_root.size()) : "";
  }
  if (path.find("/..") != std::string::npos) path.clear();
  std::vector<std::string> folders;
  while (!path.empty() && path != "/") {
    folders.push_back(root + mount.point + path);
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
  folders.push_back(root + mount.point);
  return folders;
}

Hierarchy find_hierarchy(const std::string& root, const std::vector<Mount>& mounts, std::string_view proc_cgroup,
                         std::string_view controller) {
  // A controller lives in one hierarchy: version 1 where it is mounted so, else version 2.
  for (const Mount& mount : mounts) {
    if (mount.type != "cgroup" || !has_word(mount.options, controller)) continue;
    return {false, folders_upwards(root, mount, group_path(proc_cgroup, controller).value_or("/"))};
  }
  for (const Mount& mount : mounts) {
    if (mount.type != "cgroup2") continue;
    return {true, folders_upwards(root, mount, group_path(proc_cgroup, "").value_or("/"))};
  }
  return {};
}

template <class T>
void tighten(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

// "max 100000" or "765000 100000".
std::optional<double> parse_cpu_max(std::string_view text) {
  text = trim(text);
  const auto quota = parse_u64(take_until(text, ' '));
  const auto period = parse_u64(text);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<double> cpu_quota(const std::string& folder, bool v2) {
  if (v2) {
    const auto text = read_small_file(folder + "/cpu.max");
    return text ? parse_cpu_max(*text) : std::nullopt;
  }
  // -1, no quota, does not parse as unsigned: no limit.
  const auto quota = read_u64_file(folder + "/cpu.cfs_quota_us");
  const auto period = read_u64_file(folder + "/cpu.cfs_period_us");
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

void apply_memory(const std::string& folder, bool v2, CgroupLimits& limits) {
  const auto limit = read_u64_file(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  if (!limit || *limit >= kUnlimited) return;
  tighten(limits.memory_bytes, *limit);
  const auto used = read_u64_file(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!used) return;
  // File pages that nobody used lately count as used but are given back on demand, so they are free to us.
  const auto stat = read_small_file(folder + "/memory.stat");
  const uint64_t inactive = stat ? find_figure(*stat, v2 ? "inactive_file" : "total_inactive_file").value_or(0) : 0;
  const uint64_t held = *used - std::min(*used, inactive);
  tighten(limits.memory_free, *limit - std::min(*limit, held));
}

std::vector<unsigned> read_cpuset(const Hierarchy& hierarchy) {
  const std::string name = hierarchy.v2 ? "/cpuset.cpus.effective" : "/cpuset.effective_cpus";
  for (const std::string& folder : hierarchy.folders) {
    auto text = read_small_file(folder + name);
    if (!text && !hierarchy.v2) text = read_small_file(folder + "/cpuset.cpus");
    if (!text) continue;
    // A child cannot have more than its parent: the nearest list that says something is the tightest.
    if (auto cpus = parse_cpu_list(*text); cpus && !cpus->empty()) return *cpus;
  }
  return {};
}

}  // namespace

CgroupLimits read_cgroup_limits(const std::string& root) {
  const auto mountinfo = read_small_file(root + "/proc/self/mountinfo");
  const auto proc_cgroup = read_small_file(root + "/proc/self/cgroup");
  if (!mountinfo || !proc_cgroup) return {};
  const std::vector<Mount> mounts = parse_mounts(*mountinfo);

  CgroupLimits limits;
  const Hierarchy cpu = find_hierarchy(root, mounts, *proc_cgroup, "cpu");
  for (const std::string& folder : cpu.folders) {
    if (const auto cpus = cpu_quota(folder, cpu.v2)) tighten(limits.cpus, *cpus);
  }
  const Hierarchy memory = find_hierarchy(root, mounts, *proc_cgroup, "memory");
  for (const std::string& folder : memory.folders) apply_memory(folder, memory.v2, limits);
  limits.cpuset = read_cpuset(find_hierarchy(root, mounts, *proc_cgroup, "cpuset"));
  return limits;
}

}  // namespace quern
