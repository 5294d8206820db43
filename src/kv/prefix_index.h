// PrefixIndex: which stored pages begin which token sequences, per tenant. No tensors, no I/O.
//
// The pages of 64 tokens form a trie for each tenant; a node stands for one page, at the end of one sequence of pages,
// and holds a reference to it. A node is looked up by a hash of its tenant, its parent and its ids, and is only ever
// believed when all three are equal, so a collision costs a comparison and never hands out another's tokens. What is
// left after the last whole page is compared with the ids of each of the (at most 64 last used) children.
//
// Only leaves are removed, the one used longest ago first. Sequences share and release pages at any time without
// telling the index: what could be freed is counted when it is asked for.
//
// `tenant` is compared as it is: give each tenant a number of its own, not a hash of its name. One thread at a time,
// the one that owns the pool; the pool must outlive the index.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kv/page_pool.h"

namespace quern {

class PrefixIndex {
 public:
  // Of a page's ids and all that comes before them, which `before` stands for.
  using Hash = uint64_t (*)(uint64_t before, std::span<const int32_t> ids);
  static uint64_t default_hash(uint64_t before, std::span<const int32_t> ids);

  // Holds at most `max_pages` pages, alone or together with sequences. A weak hash is slow and nothing else.
  PrefixIndex(PagePool& pool, size_t max_pages, Hash hash = &default_hash);
  ~PrefixIndex() { clear(); }
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  struct Match {
    size_t n_tokens = 0;
    // Shared with the index. Of the last page only the positions below n_tokens may be of use; make_writable() copies
    // it before the sequence goes on.
    PageTable pages;
  };
  // The longest stored prefix of `ids`, which counts as used now. A sequence must compute at least its last token, to
  // have logits: leave that one out.
  Match find(uint64_t tenant, std::span<const int32_t> ids);
  // Of the pages that find() would share, those that sequences hold too: eviction could not free them now.
  [[nodiscard]] size_t pages_in_use(uint64_t tenant, std::span<const int32_t> ids) const;
  // References to this page that are the index's own.
  [[nodiscard]] uint32_t references(uint32_t page) const { return page < held_.size() ? held_[page] : 0; }
  // The same prefix's length; marks nothing.
  [[nodiscard]] size_t matching(uint64_t tenant, std::span<const int32_t> ids) const;

  // Keeps what `pages` holds of positions [0, ids.size()), which counts as used now: whole pages, and the begun last
  // one where the sequence has `ended`. (One that goes on would have to copy that page at its next token.) Of pages
  // whose ids are known already the older one stays. Where there is no room the end of the sequence is not kept.
  void insert(uint64_t tenant, std::span<const int32_t> ids, const PageTable& pages, bool ended);

  // Removes leaves that no sequence uses, until `n_pages` pages have become free in the pool or there are none left;
  // returns how many did. O(pages()).
  size_t evict(size_t n_pages);

  [[nodiscard]] size_t pages() const { return n_nodes_; }
  // Of those, what evict(SIZE_MAX) would free. O(pages()): measured 8 us for 10,000, 14 us where all are used (Zen 4).
  [[nodiscard]] size_t evictable() const;
  // Removes what is over the new limit, used by sequences or not.
  void set_limit(size_t max_pages);
  void clear();

 private:
  using Index = uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  struct Node {
    uint64_t key = 0;  // hash of all ids up to its last
    uint64_t tenant = 0;
    Index first_child = kNone;
    Index next_sibling = kNone, previous_sibling = kNone;  // last used first
    Index next_in_bucket = kNone;                          // of whole pages only
    Index newer = kNone, older = kNone;                    // in order of use
    uint32_t n_tokens = 0;
    std::array<int32_t, kKvPageTokens> ids{};
  };
  // What evictable() reads of a node: apart from the rest, so that it is little.
  struct Slot {
    uint32_t page = kNone;  // kNone: the node is not in use
    Index parent = kNone;   // kNone: the tenant's root
  };
  struct Place {  // where a walk ended
    Index node = kNone;
    size_t n_tokens = 0;
  };

  [[nodiscard]] Place walk(uint64_t tenant, std::span<const int32_t> ids) const;
  [[nodiscard]] Index find_child(uint64_t tenant, Index parent, std::span<const int32_t> ids) const;
  [[nodiscard]] Place best_child(uint64_t tenant, Index parent, std::span<const int32_t> ids) const;
  [[nodiscard]] uint64_t key_of(uint64_t tenant, Index node) const;
  [[nodiscard]] Index first_child(uint64_t tenant, Index parent) const;

  void use(Index node);
  Index add(uint64_t tenant, Index parent, std::span<const int32_t> ids, uint32_t page, size_t depth);
  void drop_covered(uint64_t tenant, Index parent, std::span<const int32_t> ids);
  bool make_room(size_t depth);
  void remove(Index leaf);
  void link(Index node);
  void unlink(Index node);
  void enter_bucket(Index node);
  void leave_bucket(Index node);
  [[nodiscard]] size_t bucket_of(uint64_t key) const { return key & (buckets_.size() - 1); }

  PagePool& pool_;
  size_t max_pages_;
  Hash hash_;
  size_t n_nodes_ = 0;
  std::vector<Node> nodes_;
  std::vector<Slot> slots_;    // by node
  std::vector<uint8_t> held_;  // by page: nodes that stand for it, more than one only while they are exchanged
  std::vector<Index> free_;
  std::vector<Index> buckets_;                 // a power of two
  std::unordered_map<uint64_t, Index> roots_;  // first child of each tenant that has any
  // Every walk uses a node's ancestors after it, so a parent is always newer than its children and the oldest node of
  // all is a leaf.
  Index newest_ = kNone, oldest_ = kNone;
  mutable std::vector<uint32_t> blocked_;  // by node: the last count of evictable() in which it could not go
  mutable uint32_t count_ = 0;
};

}  // namespace quern
