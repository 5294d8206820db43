#include "kv/page_pool.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace quern {
namespace {

TEST(PagePool, GivesEachPageOnceAndRefusesPlainly) {
  PagePool pool(3);
  PageTable a(pool);
  std::vector<PageCopy> copies;
  ASSERT_TRUE(a.make_writable(0, 130, copies).has_value());
  EXPECT_EQ(a.pages().size(), 3u);
  EXPECT_TRUE(copies.empty());
  PageTable b(pool);
  auto refused = b.make_writable(0, 1, copies);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kResource);
  a.truncate(64);
  EXPECT_EQ(pool.free_pages(), 2u);
  EXPECT_TRUE(b.make_writable(0, 1, copies).has_value());
}

TEST(PageTable, CopiesASharedPageBeforeItWrites) {
  PagePool pool(8);
  PageTable a(pool);
  std::vector<PageCopy> copies;
  ASSERT_TRUE(a.make_writable(0, 100, copies).has_value());
  PageTable b = a.share(100);
  EXPECT_EQ(pool.references(a.pages()[1]), 2u);
  ASSERT_TRUE(b.make_writable(100, 101, copies).has_value());
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].from, a.pages()[1]);
  EXPECT_EQ(copies[0].to, b.pages()[1]);
  EXPECT_EQ(a.pages()[0], b.pages()[0]);
  copies.clear();
  ASSERT_TRUE(a.make_writable(100, 101, copies).has_value());  // its own again
  EXPECT_TRUE(copies.empty());
}

TEST(PageTable, RefusalChangesNothing) {
  PagePool pool(3);
  PageTable a(pool);
  std::vector<PageCopy> copies;
  ASSERT_TRUE(a.make_writable(0, 64, copies).has_value());
  PageTable b = a.share(64);
  ASSERT_FALSE(b.make_writable(0, 64 * 4, copies).has_value());
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(pool.references(a.pages()[0]), 2u);
  EXPECT_EQ(pool.free_pages(), 2u);
}

TEST(PageTable, OverPagesOfOthersHoldsThemToo) {
  PagePool pool(8);
  PageTable a(pool);
  std::vector<PageCopy> copies;
  ASSERT_TRUE(a.make_writable(0, 200, copies).has_value());
  EXPECT_EQ(a.own_pages(), 4u);
  EXPECT_FALSE(a.is_shared(0));
  PageTable b = PageTable::over(pool, a.pages().first(2));
  EXPECT_EQ(a.own_pages(), 2u);
  EXPECT_EQ(b.own_pages(), 0u);
  EXPECT_TRUE(a.is_shared(127));
  EXPECT_FALSE(a.is_shared(128));
  EXPECT_FALSE(a.is_shared(100000));
  const std::vector<uint32_t> pages(b.pages().begin(), b.pages().end());
  a.clear();
  EXPECT_EQ(pool.free_pages(), 6u);
  EXPECT_EQ(b.own_pages(), 2u);
  ASSERT_TRUE(b.make_writable(0, 128, copies).has_value());  // alone again: nothing to copy
  EXPECT_TRUE(copies.empty());
  EXPECT_TRUE(std::equal(pages.begin(), pages.end(), b.pages().begin()));
}

// Random scripts against a model: what each sequence would read at each position.
TEST(PageTable, BehavesLikeSeparateArrays) {
  SplitMix64 rng(42);
  PagePool pool(40);
  std::map<uint32_t, std::map<size_t, uint64_t>> memory;  // page -> offset -> value
  struct Sequence {
    PageTable table;
    std::vector<uint64_t> want;
  };
  std::vector<Sequence> all;
  uint64_t stamp = 0;
  for (int step = 0; step < 5000; ++step) {
    const uint64_t what = rng.next() % 10;
    if (all.empty() || what == 0) {
      all.push_back({PageTable(pool), {}});
    } else if (what == 1) {
      const size_t i = rng.next() % all.size();
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (what == 2) {
      Sequence& s = all[rng.next() % all.size()];
      const size_t n = rng.next() % (s.want.size() + 1);
      Sequence copy{s.table.share(n), {s.want.begin(), s.want.begin() + static_cast<std::ptrdiff_t>(n)}};
      all.push_back(std::move(copy));
    } else if (what == 3) {
      Sequence& s = all[rng.next() % all.size()];
      const size_t n = rng.next() % (s.want.size() + 1);
      s.table.truncate(n);
      s.want.resize(n);
    } else {
      Sequence& s = all[rng.next() % all.size()];
      const size_t n = 1 + rng.next() % 100;
      std::vector<PageCopy> copies;
      if (!s.table.make_writable(s.want.size(), s.want.size() + n, copies)) continue;
      for (const PageCopy& c : copies) memory[c.to] = memory[c.from];
      for (size_t i = 0; i < n; ++i) {
        const size_t pos = s.want.size();
        memory[s.table.pages()[pos / kKvPageTokens]][pos % kKvPageTokens] = ++stamp;
        s.want.push_back(stamp);
      }
    }
    for (const Sequence& s : all) {
      for (size_t pos = 0; pos < s.want.size(); pos += 7) {
        ASSERT_EQ(memory[s.table.pages()[pos / kKvPageTokens]][pos % kKvPageTokens], s.want[pos]) << "step " << step;
      }
    }
  }
  all.clear();
  EXPECT_EQ(pool.free_pages(), pool.n_pages());
}

}  // namespace
}  // namespace quern
