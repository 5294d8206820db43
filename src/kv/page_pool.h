// PagePool and PageTable: which pages of the KV store belong to which sequence. No tensors, no I/O.
//
// A page holds the keys and values of kKvPageTokens consecutive positions, for all layers. Pages are counted by
// reference: sequences that begin alike share them, and a sequence that must write into a shared page takes a copy
// first (copy-on-write). One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace quern {

inline constexpr size_t kKvPageTokens = 64;

class PagePool {
 public:
  // Costs nothing until pages are taken, so that a pool may be as large as the address space.
  explicit PagePool(size_t n_pages) : n_pages_(n_pages) {}

  // kResource when every page is in use.
  Result<uint32_t> acquire();
  void share(uint32_t page) { ++references_[page]; }
  void release(uint32_t page);

  [[nodiscard]] uint32_t references(uint32_t page) const { return references_[page]; }
  [[nodiscard]] size_t free_pages() const { return n_pages_ - references_.size() + free_.size(); }
  [[nodiscard]] size_t n_pages() const { return n_pages_; }

 private:
  size_t n_pages_;
  std::vector<uint32_t> references_;  // of the pages that were ever taken, which are the lowest
  std::vector<uint32_t> free_;        // of those; last in, first out: recently used memory is warm
};

// A page that must be copied before the sequence writes to it.
struct PageCopy {
  uint32_t from, to;
};

// The pages of one sequence, in order of position. Releases them when destroyed.
class PageTable {
 public:
  explicit PageTable(PagePool& pool) : pool_(&pool) {}
  PageTable(PageTable&& other) noexcept : pool_(other.pool_), pages_(std::move(other.pages_)) { other.pages_.clear(); }
  PageTable& operator=(PageTable&& other) noexcept;
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;
  ~PageTable() { clear(); }

  // A table over `pages`, which stay in use by whoever holds them now as well.
  static PageTable over(PagePool& pool, std::span<const uint32_t> pages);

  [[nodiscard]] std::span<const uint32_t> pages() const { return pages_; }
  // Pages that nobody else holds: what clear() would free.
  [[nodiscard]] size_t own_pages() const;
  // Whether the page of a position is held by others too, so that writing there would copy it. False beyond the end.
  [[nodiscard]] bool is_shared(size_t position) const;

  // Makes positions [begin, end) writable: takes new pages as needed and replaces shared ones by own pages, which the
  // caller fills by carrying out `copies` (appended to). On kResource nothing has changed.
  Status make_writable(size_t begin, size_t end, std::vector<PageCopy>& copies);

  // Pages that make_writable would take for these positions, copies included.
  [[nodiscard]] size_t pages_needed(size_t begin, size_t end) const;

  // A second table over the same pages, holding positions [0, n_positions).
  [[nodiscard]] PageTable share(size_t n_positions) const;

  // Gives back every page that holds only positions from n_positions on.
  void truncate(size_t n_positions);
  void clear() { truncate(0); }

 private:
  PagePool* pool_;
  std::vector<uint32_t> pages_;
};

}  // namespace quern
