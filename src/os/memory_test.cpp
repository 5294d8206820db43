#include "os/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/aligned.h"
#include "tests/support/fake_tree.h"

namespace quern {
namespace {

using testing::Optional;

void write_machine(const FakeTree& tree) {
  tree.write("/proc/meminfo", "MemTotal:    65536 kB\nMemFree:   100 kB\nMemAvailable:   32768 kB\n");
  tree.write("/proc/self/status", "Name:\tquern\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n");
}

TEST(Memory, OfAMachineWithoutControlGroups) {
  FakeTree tree;
  write_machine(tree);
  const MemoryFigures figures = read_memory(tree.root());
  EXPECT_THAT(figures.total, Optional(64u << 20));
  EXPECT_THAT(figures.available, Optional(32u << 20));
  EXPECT_THAT(figures.resident, Optional(1u << 20));
  EXPECT_THAT(figures.peak_resident, Optional(2u << 20));
  EXPECT_FALSE(figures.limited_by_cgroup);
}

TEST(Memory, TheControlGroupIsTheMachine) {
  FakeTree tree;
  write_machine(tree);
  tree.write("/proc/self/mountinfo", "31 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.write("/proc/self/cgroup", "0::/\n");
  tree.write("/sys/fs/cgroup/memory.max", "16777216\n");
  tree.write("/sys/fs/cgroup/memory.current", "12582912\n");
  const MemoryFigures figures = read_memory(tree.root());
  EXPECT_THAT(figures.total, Optional(16u << 20));
  EXPECT_THAT(figures.available, Optional(4u << 20));
  EXPECT_TRUE(figures.limited_by_cgroup);
}

TEST(Memory, UnknownStaysUnknown) {
  FakeTree tree;
  const MemoryFigures figures = read_memory(tree.root());
  EXPECT_EQ(figures.total, std::nullopt);
  EXPECT_EQ(figures.available, std::nullopt);
  EXPECT_EQ(figures.resident, std::nullopt);
  EXPECT_EQ(figures.peak_resident, std::nullopt);
}

TEST(Memory, OfThisProcessGrowsWithWhatItTouches) {
  constexpr size_t kBytes = size_t{64} << 20;
  const auto before = read_memory().peak_resident;
  AlignedBuffer buffer(kBytes, 4096);
  ASSERT_NE(buffer.data(), nullptr);
  std::memset(buffer.data(), 1, kBytes);
  const auto after = read_memory().peak_resident;
  ASSERT_TRUE(before && after);
  EXPECT_GE(*after, *before + kBytes / 2);
}

}  // namespace
}  // namespace quern
