#include "kv/prefix_index.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace quern {

namespace {

constexpr size_t kMaxSiblings = 64;  // that are compared with the rest of a sequence
constexpr size_t kFirstBuckets = 64;

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first -
                             a.begin());
}

}  // namespace

uint64_t PrefixIndex::default_hash(uint64_t before, std::span<const int32_t> ids) {
  return XXH3_64bits_withSeed(ids.data(), ids.size_bytes(), before);
}

PrefixIndex::PrefixIndex(PagePool& pool, size_t max_pages, Hash hash)
    : pool_(pool), max_pages_(max_pages), hash_(hash), buckets_(kFirstBuckets, kNone) {}

PrefixIndex::Match PrefixIndex::find(uint64_t tenant, std::span<const int32_t> ids) {
  const Place place = walk(tenant, ids);
  use(place.node);
  std::vector<uint32_t> pages;
  for (Index n = place.node; n != kNone; n = slots_[n].parent) pages.push_back(slots_[n].page);
  std::reverse(pages.begin(), pages.end());
  return {place.n_tokens, PageTable::over(pool_, pages)};
}

size_t PrefixIndex::matching(uint64_t tenant, std::span<const int32_t> ids) const {
  return walk(tenant, ids).n_tokens;
}

size_t PrefixIndex::pages_in_use(uint64_t tenant, std::span<const int32_t> ids) const {
  size_t used = 0;
  for (Index n = walk(tenant, ids).node; n != kNone; n = slots_[n].parent) {
    used += pool_.references(slots_[n].page) > references(slots_[n].page);
  }
  return used;
}

void PrefixIndex::insert(uint64_t tenant, std::span<const int32_t> ids, const PageTable& pages, bool ended) {
  const std::span<const uint32_t> held = pages.pages();
  const size_t n_whole = std::min(ids.size() / kKvPageTokens, held.size());
  const auto page_ids = [&](size_t i) { return ids.subspan(i * kKvPageTokens, kKvPageTokens); };
  size_t depth = 0;
  Index node = kNone;
  for (; depth < n_whole; ++depth) {
    const Index child = find_child(tenant, node, page_ids(depth));
    if (child == kNone) break;
    node = child;
  }
  use(node);  // before room is made: the oldest node is then none of these
  for (; depth < n_whole; ++depth) {
    const Index child = add(tenant, node, page_ids(depth), held[depth], depth);
    if (child == kNone) break;
    node = child;
  }
  const auto left = ids.subspan(depth * kKvPageTokens);
  if (ended && depth == n_whole && !left.empty() && depth < held.size()) {
    const Place known = best_child(tenant, node, left);
    const Index last = known.n_tokens == left.size() ? known.node : add(tenant, node, left, held[depth], depth);
    if (last != kNone) node = last;
  }
  use(node);
}

size_t PrefixIndex::evict(size_t n_pages) {
  size_t freed = 0;
  // Children come before their parents in this order, so a parent that has become a leaf is still ahead.
  for (Index n = oldest_; n != kNone && freed < n_pages;) {
    const Index next = nodes_[n].newer;
    if (nodes_[n].first_child == kNone && pool_.references(slots_[n].page) == 1) {
      remove(n);
      ++freed;
    }
    n = next;
  }
  return freed;
}

size_t PrefixIndex::evictable() const {
  if (++count_ == 0) {
    std::fill(blocked_.begin(), blocked_.end(), 0);
    count_ = 1;
  }
  blocked_.resize(nodes_.size(), 0);
  // A page that somebody uses keeps its node, and with it all nodes above.
  size_t blocked = 0;
  for (const Slot& slot : slots_) {
    if (slot.page == kNone || pool_.references(slot.page) == 1) continue;
    for (auto n = static_cast<Index>(&slot - slots_.data()); n != kNone && blocked_[n] != count_;
         n = slots_[n].parent) {
      blocked_[n] = count_;
      ++blocked;
    }
  }
  return n_nodes_ - blocked;
}

void PrefixIndex::set_limit(size_t max_pages) {
  max_pages_ = max_pages;
  while (n_nodes_ > max_pages_) remove(oldest_);
}

void PrefixIndex::clear() {
  while (n_nodes_ > 0) remove(oldest_);
}

PrefixIndex::Place PrefixIndex::walk(uint64_t tenant, std::span<const int32_t> ids) const {
  Place place;
  while (ids.size() - place.n_tokens >= kKvPageTokens) {
    const Index child = find_child(tenant, place.node, ids.subspan(place.n_tokens, kKvPageTokens));
    if (child == kNone) break;
    place = {child, place.n_tokens + kKvPageTokens};
  }
  const Place last = best_child(tenant, place.node, ids.subspan(place.n_tokens));
  return last.node == kNone ? place : Place{last.node, place.n_tokens + last.n_tokens};
}

// The child that holds exactly this whole page.
PrefixIndex::Index PrefixIndex::find_child(uint64_t tenant, Index parent, std::span<const int32_t> ids) const {
  const uint64_t key = hash_(key_of(tenant, parent), ids);
  Index n = buckets_[bucket_of(key)];
  for (; n != kNone; n = nodes_[n].next_in_bucket) {
    const Node& node = nodes_[n];
    if (node.key == key && node.tenant == tenant && slots_[n].parent == parent &&
        std::equal(ids.begin(), ids.end(), node.ids.begin())) {
      break;
    }
  }
  return n;
}

// The child that has most tokens in common with the beginning of `ids`, and how many; no node where none has any.
PrefixIndex::Place PrefixIndex::best_child(uint64_t tenant, Index parent, std::span<const int32_t> ids) const {
  Place best;
  Index n = first_child(tenant, parent);
  for (size_t i = 0; n != kNone && i < kMaxSiblings; n = nodes_[n].next_sibling, ++i) {
    const size_t common = common_prefix(ids, std::span(nodes_[n].ids).first(nodes_[n].n_tokens));
    if (common > best.n_tokens) best = {n, common};
  }
  return best;
}

uint64_t PrefixIndex::key_of(uint64_t tenant, Index node) const {
  return node == kNone ? hash_(tenant, {}) : nodes_[node].key;
}

PrefixIndex::Index PrefixIndex::first_child(uint64_t tenant, Index parent) const {
  if (parent != kNone) return nodes_[parent].first_child;
  const auto root = roots_.find(tenant);
  return root == roots_.end() ? kNone : root->second;
}

// A node and then its ancestors become the newest, in all orders.
void PrefixIndex::use(Index node) {
  for (; node != kNone; node = slots_[node].parent) {
    unlink(node);
    link(node);
  }
}

// A new child, `depth` pages below the root; kNone when there is no room for it.
PrefixIndex::Index PrefixIndex::add(uint64_t tenant, Index parent, std::span<const int32_t> ids, uint32_t page,
                                    size_t depth) {
  pool_.share(page);  // first: what is removed now may hold the same page
  drop_covered(tenant, parent, ids);
  if (!make_room(depth)) {
    pool_.release(page);
    return kNone;
  }
  Index n = static_cast<Index>(nodes_.size());
  if (free_.empty()) {
    nodes_.emplace_back();
    slots_.emplace_back();
  } else {
    n = free_.back();
    free_.pop_back();
    nodes_[n] = {};
  }
  ++n_nodes_;
  Node& node = nodes_[n];
  node.key = hash_(key_of(tenant, parent), ids);
  node.tenant = tenant;
  node.n_tokens = static_cast<uint32_t>(ids.size());
  std::copy(ids.begin(), ids.end(), node.ids.begin());
  slots_[n] = {page, parent};
  if (held_.size() <= page) held_.resize(page + 1);
  ++held_[page];
  link(n);
  if (ids.size() == kKvPageTokens) enter_bucket(n);
  return n;
}

// Removes begun pages of which `ids` is a longer form.
void PrefixIndex::drop_covered(uint64_t tenant, Index parent, std::span<const int32_t> ids) {
  Index n = first_child(tenant, parent);
  for (size_t i = 0; n != kNone && i < kMaxSiblings; ++i) {
    const Node& node = nodes_[n];
    const Index next = node.next_sibling;
    const auto own = std::span(node.ids).first(node.n_tokens);
    if (own.size() < ids.size() && common_prefix(own, ids) == own.size()) remove(n);
    n = next;
  }
}

// Room for one more node, at the cost of any but the `depth` newest, above which it will stand.
bool PrefixIndex::make_room(size_t depth) {
  while (n_nodes_ >= max_pages_) {
    if (n_nodes_ <= depth) return false;
    remove(oldest_);
  }
  return true;
}

void PrefixIndex::remove(Index leaf) {
  if (nodes_[leaf].n_tokens == kKvPageTokens) leave_bucket(leaf);
  unlink(leaf);
  if (slots_[leaf].parent == kNone && first_child(nodes_[leaf].tenant, kNone) == kNone) {
    roots_.erase(nodes_[leaf].tenant);
  }
  --held_[slots_[leaf].page];
  pool_.release(slots_[leaf].page);
  slots_[leaf] = {};
  free_.push_back(leaf);
  --n_nodes_;
}

// Puts a node before its siblings and all other nodes.
void PrefixIndex::link(Index n) {
  Node& node = nodes_[n];
  const Index parent = slots_[n].parent;
  Index& first = parent == kNone ? roots_.try_emplace(node.tenant, kNone).first->second : nodes_[parent].first_child;
  node.previous_sibling = kNone;
  node.next_sibling = first;
  if (first != kNone) nodes_[first].previous_sibling = n;
  first = n;
  node.newer = kNone;
  node.older = newest_;
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = n;
  newest_ = n;
}

void PrefixIndex::unlink(Index n) {
  Node& node = nodes_[n];
  const Index parent = slots_[n].parent;
  if (node.next_sibling != kNone) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
  if (node.previous_sibling != kNone) {
    nodes_[node.previous_sibling].next_sibling = node.next_sibling;
  } else {
    (parent == kNone ? roots_[node.tenant] : nodes_[parent].first_child) = node.next_sibling;
  }
  (node.newer == kNone ? newest_ : nodes_[node.newer].older) = node.older;
  (node.older == kNone ? oldest_ : nodes_[node.older].newer) = node.newer;
}

void PrefixIndex::enter_bucket(Index n) {
  if (n_nodes_ > buckets_.size()) {
    std::vector<Index> old(buckets_.size() * 2, kNone);
    old.swap(buckets_);
    for (Index head : old) {
      for (Index next; head != kNone; head = next) {
        next = nodes_[head].next_in_bucket;
        Index& first = buckets_[bucket_of(nodes_[head].key)];
        nodes_[head].next_in_bucket = std::exchange(first, head);
      }
    }
  }
  Index& first = buckets_[bucket_of(nodes_[n].key)];
  nodes_[n].next_in_bucket = std::exchange(first, n);
}

void PrefixIndex::leave_bucket(Index n) {
  Index* at = &buckets_[bucket_of(nodes_[n].key)];
  while (*at != n) at = &nodes_[*at].next_in_bucket;
  *at = nodes_[n].next_in_bucket;
}

}  // namespace quern
