#include "os/topology.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/fake_tree.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<unsigned> range(unsigned n) {
  std::vector<unsigned> ids(n);
  std::iota(ids.begin(), ids.end(), 0u);
  return ids;
}

// Two packages of 24 cores, two hardware threads each: siblings are n and n + 48. core_id repeats per package, as on
// real machines.
void write_server(const FakeTree& tree) {
  for (unsigned id = 0; id < 96; ++id) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", id);
    tree.write(folder + "core_cpus_list", fmt::format("{},{}\n", id % 48, id % 48 + 48));
    tree.write(folder + "physical_package_id", fmt::format("{}\n", id % 48 / 24));
    tree.write(folder + "core_id", fmt::format("{}\n", id % 24));
  }
  tree.write("/sys/devices/system/node/online", "0-1\n");
  tree.write("/sys/devices/system/node/node0/cpulist", "0-23,48-71\n");
  tree.write("/sys/devices/system/node/node1/cpulist", "24-47,72-95\n");
  const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index";
  tree.write(cache + "0/level", "1\n");
  tree.write(cache + "0/type", "Data\n");
  tree.write(cache + "0/size", "48K\n");
  tree.write(cache + "0/coherency_line_size", "64\n");
  tree.write(cache + "0/shared_cpu_list", "0,48\n");
  tree.write(cache + "1/level", "3\n");
  tree.write(cache + "1/type", "Unified\n");
  tree.write(cache + "1/size", "36864K\n");
  tree.write(cache + "1/shared_cpu_list", "0-23,48-71\n");
  tree.write(cache + "2/level", "1\n");
  tree.write(cache + "2/type", "Instruction\n");
}

TEST(Topology, CountsCoresPackagesNodesAndCaches) {
  FakeTree tree;
  write_server(tree);
  const Topology topology = read_topology(range(96), tree.root());
  EXPECT_EQ(topology.cpus.size(), 96u);
  EXPECT_EQ(topology.physical_cores(), 48u);
  EXPECT_EQ(topology.packages(), 2u);
  EXPECT_EQ(topology.nodes(), 2u);
  EXPECT_EQ(topology.cpus[72].core, 24u);
  EXPECT_EQ(topology.cpus[72].node, 1u);
  EXPECT_EQ(topology.one_cpu_per_core(), range(48));

  ASSERT_EQ(topology.caches.size(), 3u);
  EXPECT_EQ(topology.caches[0].bytes, 48u << 10);
  EXPECT_EQ(topology.caches[0].line_bytes, 64u);
  EXPECT_EQ(topology.caches[0].cpus, 2u);
  EXPECT_TRUE(topology.caches[1].instructions_only);
  EXPECT_EQ(topology.caches[2].level, 3u);
  EXPECT_EQ(topology.caches[2].bytes, 36u << 20);
  EXPECT_EQ(topology.caches[2].cpus, 48u);
}

TEST(Topology, CountsOnlyWhatIsAllowed) {
  FakeTree tree;
  write_server(tree);
  const Topology topology = read_topology({72, 24, 25}, tree.root());
  EXPECT_EQ(topology.physical_cores(), 2u) << "24 and 72 are one core";
  EXPECT_EQ(topology.packages(), 1u);
  EXPECT_THAT(topology.one_cpu_per_core(), ElementsAre(24, 25));
}

TEST(Topology, ReadsTheOlderNameOfTheSiblingList) {
  FakeTree tree;
  for (const char* id : {"0", "1"}) {
    tree.write(std::string("/sys/devices/system/cpu/cpu") + id + "/topology/thread_siblings_list", "0-1\n");
    tree.write(std::string("/sys/devices/system/cpu/cpu") + id + "/topology/physical_package_id", "-1\n");
  }
  const Topology topology = read_topology({0, 1}, tree.root());
  EXPECT_EQ(topology.physical_cores(), 1u);
  EXPECT_EQ(topology.cpus[1].package, 0u);
}

TEST(Topology, WithoutSysfsEveryProcessorIsACore) {
  FakeTree tree;
  const Topology topology = read_topology({0, 1, 2}, tree.root());
  EXPECT_EQ(topology.physical_cores(), 3u);
  EXPECT_TRUE(topology.caches.empty());
}

TEST(ThreadCount, OneCore) {
  FakeTree tree;
  EXPECT_EQ(choose_threads(read_topology({0}, tree.root()), {}).threads, 1u);
  EXPECT_EQ(choose_threads(Topology{}, {}).threads, 1u) << "never 0";
}

TEST(ThreadCount, NinetySixProcessorsWithAQuotaOf7Point65) {
  FakeTree tree;
  write_server(tree);
  tree.write("/proc/self/mountinfo", "31 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.write("/proc/self/cgroup", "0::/\n");
  tree.write("/sys/fs/cgroup/cpu.max", "765000 100000\n");
  const ThreadCount count = choose_threads(read_topology(range(96), tree.root()), read_cgroup_limits(tree.root()));
  EXPECT_EQ(count.threads, 7u);
  EXPECT_THAT(count.reason, HasSubstr("quota of 7.65 cores"));
}

TEST(ThreadCount, QuotasBelowOneAndAboveTheMachine) {
  FakeTree tree;
  write_server(tree);
  const Topology topology = read_topology(range(96), tree.root());
  EXPECT_EQ(choose_threads(topology, {.cpus = 0.25, .memory_bytes = {}, .memory_free = {}, .cpuset = {}}).threads, 1u);
  const ThreadCount all = choose_threads(topology, {.cpus = 64.0, .memory_bytes = {}, .memory_free = {}, .cpuset = {}});
  EXPECT_EQ(all.threads, 48u);
  EXPECT_THAT(all.reason, HasSubstr("48 physical cores of 96 processors"));
}

TEST(ThreadCount, OfThisMachine) {
  const std::vector<unsigned> allowed = allowed_cpus();
  ASSERT_FALSE(allowed.empty());
  const ThreadCount count = default_threads();
  EXPECT_GE(count.threads, 1u);
  EXPECT_LE(count.threads, allowed.size());
  EXPECT_FALSE(count.reason.empty());
}

}  // namespace
}  // namespace quern
