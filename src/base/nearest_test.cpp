#include "base/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace quern {
namespace {

TEST(EditDistance, CountsInsertDeleteReplaceAndSwap) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("list", "lsit"), 1u);
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
}

TEST(NearestName, SuggestsOnlyWhatIsNear) {
  const std::array<std::string_view, 3> known = {"list", "pull", "rm"};
  EXPECT_EQ(nearest_name("lsit", known), "list");
  EXPECT_EQ(nearest_name("pul", known), "pull");
  EXPECT_EQ(nearest_name("r", known), "rm");
  EXPECT_EQ(nearest_name("serve", known), std::nullopt);
  EXPECT_EQ(nearest_name("", known), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(65, 'l'), known), std::nullopt);
}

}  // namespace
}  // namespace quern
