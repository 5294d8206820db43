#include "kv/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "base/rng.h"

namespace quern {
namespace {

using Ids = std::vector<int32_t>;

Ids ids_from(int32_t first, size_t n) {
  Ids ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// Everything collides, so only the comparison tells pages apart.
uint64_t one_hash(uint64_t, std::span<const int32_t>) {
  return 7;
}
uint64_t two_hashes(uint64_t, std::span<const int32_t> ids) {
  return ids.empty() ? 0 : static_cast<uint64_t>(ids.back() & 1);
}

// A pool of pages with an index over it, and sequences that hold pages.
class PrefixIndexTest : public testing::Test {
 protected:
  PageTable run(size_t n_tokens) {
    PageTable table(pool_);
    std::vector<PageCopy> copies;
    EXPECT_TRUE(table.make_writable(0, n_tokens, copies).has_value());
    return table;
  }
  // A sequence that runs and ends; the pages that it left.
  std::vector<uint32_t> leave(uint64_t tenant, const Ids& ids) {
    const PageTable table = run(ids.size());
    index_.insert(tenant, ids, table, true);
    return {table.pages().begin(), table.pages().end()};
  }

  PagePool pool_{200};
  PrefixIndex index_{pool_, 100};
};

TEST_F(PrefixIndexTest, FindsWholePagesAndTheBegunOne) {
  const Ids ids = ids_from(0, 150);
  const auto pages = leave(1, ids);
  EXPECT_EQ(index_.pages(), 3u);
  EXPECT_EQ(index_.matching(1, ids), 150u);
  EXPECT_EQ(index_.matching(1, std::span(ids).first(100)), 100u);
  EXPECT_EQ(index_.matching(1, std::span(ids).first(0)), 0u);
  Ids longer = ids_from(0, 400);
  longer[130] = -1;
  auto match = index_.find(1, longer);
  EXPECT_EQ(match.n_tokens, 130u);
  EXPECT_TRUE(std::equal(pages.begin(), pages.end(), match.pages.pages().begin()));
  EXPECT_EQ(match.pages.own_pages(), 0u);
  // Going on copies the begun page and nothing else.
  std::vector<PageCopy> copies;
  ASSERT_TRUE(match.pages.make_writable(130, 131, copies).has_value());
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].from, pages[2]);
  EXPECT_EQ(index_.matching(1, ids), 150u);
}

TEST_F(PrefixIndexTest, ARunningSequenceLeavesOnlyWholePages) {
  const Ids ids = ids_from(0, 150);
  PageTable table = run(150);
  index_.insert(1, ids, table, false);
  EXPECT_EQ(index_.pages(), 2u);
  EXPECT_EQ(index_.matching(1, ids), 128u);
  std::vector<PageCopy> copies;
  ASSERT_TRUE(table.make_writable(150, 151, copies).has_value());
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(index_.evictable(), 0u);
  table.clear();
  EXPECT_EQ(index_.evictable(), 2u);
}

TEST_F(PrefixIndexTest, OneTenantFindsNothingOfAnother) {
  const Ids ids = ids_from(0, 200);
  leave(1, ids);
  for (const uint64_t other : {uint64_t{0}, uint64_t{2}, UINT64_MAX}) {
    EXPECT_EQ(index_.matching(other, ids), 0u);
    const auto match = index_.find(other, ids);
    EXPECT_EQ(match.n_tokens, 0u);
    EXPECT_TRUE(match.pages.pages().empty());
  }
  leave(2, ids);  // its own copy, not the other's pages
  EXPECT_EQ(index_.pages(), 8u);
  const auto one = index_.find(1, ids), two = index_.find(2, ids);
  for (size_t i = 0; i < 4; ++i) EXPECT_NE(one.pages.pages()[i], two.pages.pages()[i]);
}

TEST(PrefixIndex, ACollisionRestoresNobodyElsesTokens) {
  PagePool pool(64);
  PrefixIndex index(pool, 64, &one_hash);
  std::vector<PageCopy> copies;
  for (const uint64_t tenant : {1, 2}) {
    for (const int32_t first : {0, 1000, 2000}) {
      PageTable table(pool);
      ASSERT_TRUE(table.make_writable(0, 192, copies).has_value());
      index.insert(tenant, ids_from(first, 192), table, true);
    }
  }
  EXPECT_EQ(index.pages(), 18u);
  EXPECT_EQ(index.matching(3, ids_from(0, 192)), 0u);
  EXPECT_EQ(index.matching(1, ids_from(3000, 192)), 0u);
  Ids mixed = ids_from(0, 64);  // pages that exist, in an order that does not
  const Ids tail = ids_from(1064, 64);
  mixed.insert(mixed.end(), tail.begin(), tail.end());
  EXPECT_EQ(index.matching(1, mixed), 64u);
  EXPECT_EQ(index.matching(2, ids_from(1000, 192)), 192u);
}

TEST_F(PrefixIndexTest, ALongerSequenceReplacesTheBegunPage) {
  leave(1, ids_from(0, 70));
  EXPECT_EQ(index_.pages(), 2u);
  leave(1, ids_from(0, 65));  // covered already
  EXPECT_EQ(index_.pages(), 2u);
  leave(1, ids_from(0, 100));
  EXPECT_EQ(index_.pages(), 2u);
  EXPECT_EQ(index_.matching(1, ids_from(0, 100)), 100u);
  leave(1, ids_from(0, 200));
  EXPECT_EQ(index_.pages(), 4u);
  EXPECT_EQ(pool_.free_pages(), 196u);
}

TEST_F(PrefixIndexTest, TheSearchAmongSiblingsIsBounded) {
  for (int32_t i = 0; i < 70; ++i) leave(1, Ids{i, 5, 5});
  EXPECT_EQ(index_.pages(), 70u);
  EXPECT_EQ(index_.matching(1, Ids{69, 5}), 2u);
  EXPECT_EQ(index_.matching(1, Ids{6, 5}), 2u);
  EXPECT_EQ(index_.matching(1, Ids{5, 5}), 0u);  // older than the 64 that are looked at
}

TEST_F(PrefixIndexTest, RemovesLeavesUsedLongestAgo) {
  leave(1, ids_from(0, 192));
  leave(1, ids_from(1000, 128));
  leave(2, ids_from(0, 64));
  (void)index_.find(1, ids_from(0, 128));  // its first two pages
  EXPECT_EQ(index_.evictable(), 6u);
  EXPECT_EQ(index_.evict(1), 1u);
  EXPECT_EQ(index_.matching(1, ids_from(0, 192)), 128u);
  EXPECT_EQ(index_.evict(2), 2u);
  EXPECT_EQ(index_.matching(1, ids_from(1000, 128)), 0u);
  const auto held = index_.find(1, ids_from(0, 64));
  EXPECT_EQ(index_.evictable(), 2u);
  EXPECT_EQ(index_.evict(SIZE_MAX), 2u);
  EXPECT_EQ(index_.pages(), 1u);
  EXPECT_EQ(index_.evict(1), 0u);
  EXPECT_EQ(pool_.free_pages(), 199u);
}

TEST_F(PrefixIndexTest, KeepsItsLimit) {
  index_.set_limit(4);
  leave(1, ids_from(0, 64 * 10));  // the beginning of what does not fit
  EXPECT_EQ(index_.pages(), 4u);
  EXPECT_EQ(index_.matching(1, ids_from(0, 64 * 10)), 256u);
  leave(1, ids_from(1000, 128));
  EXPECT_EQ(index_.pages(), 4u);
  EXPECT_EQ(index_.matching(1, ids_from(0, 64 * 10)), 128u);
  index_.set_limit(1);
  EXPECT_EQ(index_.pages(), 1u);
  EXPECT_EQ(index_.matching(1, ids_from(1000, 128)), 64u);
  index_.set_limit(0);
  leave(1, ids_from(0, 64));
  EXPECT_EQ(index_.pages(), 0u);
  EXPECT_EQ(pool_.free_pages(), 200u);
}

// The index again, by the rules alone: every stored prefix as a whole, searched one by one.
class Model {
 public:
  struct Node {
    uint64_t stamp = 0;
    uint32_t page = 0;
  };
  using Key = std::pair<uint64_t, Ids>;  // tenant, all ids up to the node's last

  Model(PagePool& pool, size_t limit) : pool_(pool), limit_(limit) {}

  std::pair<size_t, Key> walk(uint64_t tenant, const Ids& ids) const {
    Key at{tenant, {}};
    for (size_t n = kKvPageTokens; n <= ids.size(); n += kKvPageTokens) {
      Key next{tenant, Ids(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n))};
      if (nodes_.count(next) == 0) break;
      at = next;
    }
    size_t best = at.second.size();
    Key found = at;
    uint64_t stamp = 0;
    for (const auto& [key, node] : nodes_) {
      if (parent(key) != at || key == at) continue;
      const size_t n = common(key.second, ids);
      if (n > best || (n == best && n > at.second.size() && node.stamp > stamp)) {
        best = n;
        found = key;
        stamp = node.stamp;
      }
    }
    return {best, found};
  }
  void use(Key key) {
    for (; !key.second.empty(); key = parent(key)) nodes_.at(key).stamp = ++clock_;
  }
  void insert(uint64_t tenant, const Ids& ids, std::span<const uint32_t> pages, bool ended) {
    Key at{tenant, {}};
    size_t known = 0;
    for (bool all_known = true; known + kKvPageTokens <= ids.size(); known += kKvPageTokens) {
      const Key next{tenant, Ids(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(known + kKvPageTokens))};
      if (all_known && nodes_.count(next) == 0) {
        use(at);
        all_known = false;
      }
      if (!all_known && !add(next, pages[known / kKvPageTokens])) break;
      at = next;
    }
    use(at);
    if (ended && known + kKvPageTokens > ids.size() && known < ids.size()) {
      const auto [n, covering] = walk(tenant, ids);
      const Key last{tenant, ids};
      if (n == ids.size()) {
        use(covering);
      } else if (add(last, pages[known / kKvPageTokens])) {
        use(last);
      }
    }
  }
  size_t evict(size_t n, bool used_too) {
    size_t freed = 0;
    for (; freed < n; ++freed) {
      std::optional<Key> oldest;
      for (const auto& [key, node] : nodes_) {
        if (!leaf(key) || (!used_too && pool_.references(node.page) != 1)) continue;
        if (!oldest || node.stamp < nodes_.at(*oldest).stamp) oldest = key;
      }
      if (!oldest) break;
      nodes_.erase(*oldest);
    }
    return freed;
  }
  size_t evictable() const {
    Model copy = *this;
    return copy.evict(SIZE_MAX, false);
  }
  void set_limit(size_t limit) {
    limit_ = limit;
    if (nodes_.size() > limit) evict(nodes_.size() - limit, true);
  }
  size_t size() const { return nodes_.size(); }
  uint32_t page(const Key& key) const { return nodes_.at(key).page; }

 private:
  static size_t common(const Ids& a, const Ids& b) {
    size_t n = 0;
    while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
    return n;
  }
  static Key parent(const Key& key) {
    const size_t n = key.second.empty() ? 0 : (key.second.size() - 1) / kKvPageTokens * kKvPageTokens;
    return {key.first, Ids(key.second.begin(), key.second.begin() + static_cast<std::ptrdiff_t>(n))};
  }
  bool leaf(const Key& key) const {
    return std::none_of(nodes_.begin(), nodes_.end(), [&](const auto& n) { return parent(n.first) == key; });
  }
  bool add(const Key& key, uint32_t page) {
    std::erase_if(nodes_, [&](const auto& n) {
      return n.first.second.size() % kKvPageTokens != 0 && parent(n.first) == parent(key) &&
             common(n.first.second, key.second) == n.first.second.size();
    });
    while (nodes_.size() >= limit_) {
      if (nodes_.size() <= (key.second.size() - 1) / kKvPageTokens) return false;
      evict(1, true);
    }
    nodes_[key] = {++clock_, page};
    return true;
  }

  PagePool& pool_;
  size_t limit_;
  uint64_t clock_ = 0;
  std::map<Key, Node> nodes_;
};

// What a forward would write at a position: a function of the tenant and all ids up to there.
uint64_t content(uint64_t tenant, std::span<const int32_t> ids) {
  uint64_t h = SplitMix64(tenant).next();
  for (const int32_t id : ids) h = SplitMix64(h ^ static_cast<uint64_t>(id)).next();
  return h;
}

struct Script {
  struct Sequence {
    uint64_t tenant;
    Ids ids;
    PageTable pages;
  };

  Script(uint64_t seed, PrefixIndex::Hash hash) : rng(seed), index(pool, kLimit, hash), model(pool, kLimit) {}

  size_t random(size_t n) { return static_cast<size_t>(rng.next() % n); }
  // Computes positions from `from` on; false when there is no room, even after eviction.
  bool compute(Sequence& s, size_t from) {
    std::vector<PageCopy> copies;
    if (!s.pages.make_writable(from, s.ids.size(), copies)) {
      const size_t n = random(8) + 1;
      const size_t expected = model.evict(n, false);  // first: it looks at the pages that the index will give back
      EXPECT_EQ(index.evict(n), expected);
      if (!s.pages.make_writable(from, s.ids.size(), copies)) return false;
    }
    for (const PageCopy& c : copies) memory[c.to] = memory[c.from];
    for (size_t i = from; i < s.ids.size(); ++i) {
      memory[s.pages.pages()[i / kKvPageTokens]][i % kKvPageTokens] = content(s.tenant, std::span(s.ids).first(i + 1));
    }
    return true;
  }
  Ids random_ids() {
    Ids ids;
    if (!seen.empty() && random(4) != 0) {  // a prefix of an earlier one
      ids = seen[random(seen.size())];
      ids.resize(random(ids.size()) + 1);
    }
    for (size_t n = random(120) + 1; n > 0; --n) ids.push_back(static_cast<int32_t>(random(2)));
    if (ids.size() > 300) ids.resize(300);
    return ids;
  }
  void begin() {
    const uint64_t tenant = random(3);
    const Ids ids = random_ids();
    seen.push_back(ids);
    const auto [want, last] = model.walk(tenant, ids);
    ASSERT_EQ(index.matching(tenant, ids), want);
    auto match = index.find(tenant, ids);
    model.use(last);
    ASSERT_EQ(match.n_tokens, want);
    ASSERT_EQ(match.pages.pages().size(), (want + kKvPageTokens - 1) / kKvPageTokens);
    if (want > 0) {
      ASSERT_EQ(match.pages.pages().back(), model.page(last));
    }
    for (size_t i = 0; i < want; ++i) {
      ASSERT_EQ(memory[match.pages.pages()[i / kKvPageTokens]][i % kKvPageTokens],
                content(tenant, std::span(ids).first(i + 1)));
    }
    Sequence s{tenant, ids, std::move(match.pages)};
    if (compute(s, want)) running.push_back(std::move(s));
  }
  void step() {
    const size_t what = random(12);
    if (what < 4 || running.empty()) return begin();
    const size_t i = random(running.size());
    Sequence& s = running[i];
    if (what < 7) {
      const size_t from = s.ids.size();
      for (size_t n = random(70) + 1; n > 0; --n) s.ids.push_back(static_cast<int32_t>(random(2)));
      if (!compute(s, from)) running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));  // preempted
    } else if (what < 9) {
      index.insert(s.tenant, s.ids, s.pages, false);
      model.insert(s.tenant, s.ids, s.pages.pages(), false);
    } else if (what < 11) {
      index.insert(s.tenant, s.ids, s.pages, true);
      model.insert(s.tenant, s.ids, s.pages.pages(), true);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (random(2) == 0) {
      const size_t limit = random(kLimit + 1);
      index.set_limit(limit);
      model.set_limit(limit);
    } else {
      index.set_limit(kLimit);
      model.set_limit(kLimit);
    }
  }

  static constexpr size_t kLimit = 25;
  SplitMix64 rng;
  PagePool pool{40};
  PrefixIndex index;
  Model model;
  std::map<uint32_t, std::array<uint64_t, kKvPageTokens>> memory;
  std::vector<Sequence> running;
  std::vector<Ids> seen;
};

class PrefixIndexScript : public testing::TestWithParam<PrefixIndex::Hash> {};

TEST_P(PrefixIndexScript, BehavesLikeTheRulesAndLosesNoPage) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    Script script(seed, GetParam());
    for (int step = 0; step < 150; ++step) {
      script.step();
      ASSERT_FALSE(HasFatalFailure()) << "step " << step;
      ASSERT_EQ(script.index.pages(), script.model.size()) << "step " << step;
      ASSERT_EQ(script.index.evictable(), script.model.evictable()) << "step " << step;
    }
    script.running.clear();
    EXPECT_EQ(script.pool.free_pages() + script.index.pages(), script.pool.n_pages());
    EXPECT_EQ(script.index.evictable(), script.index.pages());
    script.index.clear();
    EXPECT_EQ(script.pool.free_pages(), script.pool.n_pages());
  }
}
INSTANTIATE_TEST_SUITE_P(Hashes, PrefixIndexScript,
                         testing::Values(&PrefixIndex::default_hash, &one_hash, &two_hashes));

}  // namespace
}  // namespace quern
