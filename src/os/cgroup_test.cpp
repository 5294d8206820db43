#include "os/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_tree.h"

namespace quern {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

constexpr uint64_t kMiB = uint64_t{1} << 20;

void mount_v2(const FakeTree& tree, const std::string& group) {
  tree.write("/proc/self/mountinfo",
             "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
             "31 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  tree.write("/proc/self/cgroup", "0::" + group + "\n");
}

TEST(Cgroup, NothingMountedMeansNoLimits) {
  FakeTree tree;
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_EQ(limits.cpus, std::nullopt);
  EXPECT_EQ(limits.memory_bytes, std::nullopt);
  EXPECT_EQ(limits.memory_free, std::nullopt);
  EXPECT_THAT(limits.cpuset, IsEmpty());
}

TEST(Cgroup, Version2ReadsQuotaMemoryAndCpuset) {
  FakeTree tree;
  mount_v2(tree, "/job");
  tree.write("/sys/fs/cgroup/job/cpu.max", "765000 100000\n");
  tree.write("/sys/fs/cgroup/job/memory.max", "1073741824\n");
  tree.write("/sys/fs/cgroup/job/memory.current", "314572800\n");
  tree.write("/sys/fs/cgroup/job/memory.stat", "anon 1\nfile 2\ninactive_file 104857600\n");
  tree.write("/sys/fs/cgroup/job/cpuset.cpus.effective", "0-95\n");
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_THAT(limits.cpus, Optional(DoubleEq(7.65)));
  EXPECT_THAT(limits.memory_bytes, Optional(1024 * kMiB));
  EXPECT_THAT(limits.memory_free, Optional((1024 - 300 + 100) * kMiB));
  EXPECT_EQ(limits.cpuset.size(), 96u);
}

TEST(Cgroup, Version2TakesTheTightestAncestor) {
  FakeTree tree;
  mount_v2(tree, "/pod/job");
  tree.write("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  tree.write("/sys/fs/cgroup/pod/job/cpu.max", "max 100000\n");
  tree.write("/sys/fs/cgroup/pod/memory.max", "max\n");
  tree.write("/sys/fs/cgroup/pod/job/memory.max", "4096\n");
  tree.write("/sys/fs/cgroup/pod/job/memory.current", "8192\n");
  tree.write("/sys/fs/cgroup/pod/cpuset.cpus.effective", "2-3\n");
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_THAT(limits.cpus, Optional(DoubleEq(1.5)));
  EXPECT_THAT(limits.memory_bytes, Optional(4096u));
  EXPECT_THAT(limits.memory_free, Optional(0u)) << "over the limit leaves nothing, not a number near 2^64";
  EXPECT_THAT(limits.cpuset, ElementsAre(2, 3));
}

TEST(Cgroup, Version1ReadsEachControllerAtItsOwnMount) {
  FakeTree tree;
  tree.write("/proc/self/mountinfo",
             "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
             "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
             "35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n");
  tree.write("/proc/self/cgroup", "4:memory:/a\n3:cpuset:/\n2:cpu,cpuacct:/a/b\n");
  tree.write("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  tree.write("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  tree.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
  tree.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  tree.write("/sys/fs/cgroup/mem ory/memory.limit_in_bytes", "9223372036854771712\n");
  tree.write("/sys/fs/cgroup/mem ory/a/memory.limit_in_bytes", "2097152\n");
  tree.write("/sys/fs/cgroup/mem ory/a/memory.usage_in_bytes", "1048576\n");
  tree.write("/sys/fs/cgroup/mem ory/a/memory.stat", "inactive_file 9\ntotal_inactive_file 524288\n");
  tree.write("/sys/fs/cgroup/cpuset/cpuset.cpus", "0,4\n");
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_THAT(limits.cpus, Optional(DoubleEq(0.5)));
  EXPECT_THAT(limits.memory_bytes, Optional(2 * kMiB));
  EXPECT_THAT(limits.memory_free, Optional(3 * kMiB / 2));
  EXPECT_THAT(limits.cpuset, ElementsAre(0, 4));
}

TEST(Cgroup, AHostPathInsideAContainerFallsBackToTheMountPoint) {
  FakeTree tree;
  tree.write("/proc/self/mountinfo",
             "31 22 0:26 /docker/77aa /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
             "32 22 0:27 /docker/77aa /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  tree.write("/proc/self/cgroup", "2:cpu:/docker/77aa\n3:memory:/../sibling\n");
  tree.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  tree.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  tree.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n");
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_THAT(limits.cpus, Optional(DoubleEq(2.0)));
  EXPECT_THAT(limits.memory_bytes, Optional(kMiB));
  EXPECT_EQ(limits.memory_free, std::nullopt) << "the use is not known";
}

TEST(Cgroup, SenselessFilesDoNotLimit) {
  FakeTree tree;
  mount_v2(tree, "/");
  tree.write("/sys/fs/cgroup/cpu.max", "100000 0\n");
  tree.write("/sys/fs/cgroup/memory.max", "-5\n");
  tree.write("/sys/fs/cgroup/cpuset.cpus.effective", "9-1\n");
  const CgroupLimits limits = read_cgroup_limits(tree.root());
  EXPECT_EQ(limits.cpus, std::nullopt);
  EXPECT_EQ(limits.memory_bytes, std::nullopt);
  EXPECT_THAT(limits.cpuset, IsEmpty());
}

}  // namespace
}  // namespace quern
