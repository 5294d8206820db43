#include "os/small_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_tree.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

TEST(SmallFile, ReadsFilesAndNothingElse) {
  FakeTree tree;
  tree.write("/a", "12\n");
  tree.write("/long", std::string(kSmallFileBytes + 1, 'x'));
  EXPECT_THAT(read_small_file(tree.root() + "/a"), Optional(std::string("12\n")));
  EXPECT_THAT(read_u64_file(tree.root() + "/a"), Optional(12u));
  EXPECT_EQ(read_small_file(tree.root() + "/absent"), std::nullopt);
  EXPECT_EQ(read_small_file(tree.root()), std::nullopt);
  EXPECT_EQ(read_small_file(tree.root() + "/long"), std::nullopt);
}

TEST(SmallFile, ParsesNumbers) {
  EXPECT_THAT(parse_u64(" 18446744073709551615\n"), Optional(UINT64_MAX));
  for (const char* bad : {"", " ", "-1", "max", "18446744073709551616", "1 2", "0x10"}) {
    EXPECT_EQ(parse_u64(bad), std::nullopt) << bad;
  }
  EXPECT_THAT(parse_size("32K\n"), Optional(32u << 10));
  EXPECT_THAT(parse_size("16M"), Optional(16u << 20));
  EXPECT_THAT(parse_size("512"), Optional(512u));
  EXPECT_EQ(parse_size("K"), std::nullopt);
  EXPECT_EQ(parse_size("18446744073709551615G"), std::nullopt);
}

TEST(SmallFile, ParsesCpuLists) {
  EXPECT_THAT(parse_cpu_list("0-3,8,10-11\n"), Optional(ElementsAre(0, 1, 2, 3, 8, 10, 11)));
  EXPECT_THAT(parse_cpu_list("5,0-1,1"), Optional(ElementsAre(0, 1, 5)));
  EXPECT_THAT(parse_cpu_list("\n"), Optional(IsEmpty()));
  for (const char* bad : {"a", "3-1", "1-", "-1", "0,,1", "65536", "0-18446744073709551615", "1-2-3"}) {
    EXPECT_EQ(parse_cpu_list(bad), std::nullopt) << bad;
  }
}

TEST(SmallFile, FindsFiguresByWholeKeys) {
  const char* text = "inactive_file_x 1\ninactive_file 2\nVmRSS:\t  3 kB\nBad: x\n";
  EXPECT_THAT(find_figure(text, "inactive_file"), Optional(2u));
  EXPECT_THAT(find_figure(text, "VmRSS"), Optional(3u * 1024));
  EXPECT_EQ(find_figure(text, "Bad"), std::nullopt);
  EXPECT_EQ(find_figure(text, "Absent"), std::nullopt);
}

}  // namespace
}  // namespace quern
