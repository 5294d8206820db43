#include "kv/page_pool.h"

#include <algorithm>
#include <utility>

namespace quern {

Result<uint32_t> PagePool::acquire() {
  if (free_pages() == 0) {
    return fail_f(ErrorCode::kResource, "all {} pages of the KV cache ({} positions) are in use", n_pages(),
                  n_pages() * kKvPageTokens);
  }
  if (free_.empty()) {
    references_.push_back(1);
    free_.reserve(references_.capacity());  // releasing does not allocate
    return static_cast<uint32_t>(references_.size() - 1);
  }
  const uint32_t page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void PagePool::release(uint32_t page) {
  if (--references_[page] == 0) free_.push_back(page);
}

PageTable& PageTable::operator=(PageTable&& other) noexcept {
  if (this != &other) {
    clear();
    pool_ = other.pool_;
    pages_ = std::exchange(other.pages_, {});
  }
  return *this;
}

size_t PageTable::pages_needed(size_t begin, size_t end) const {
  if (begin >= end) return 0;
  const size_t first = begin / kKvPageTokens, last = (end - 1) / kKvPageTokens;
  size_t needed = last + 1 > pages_.size() ? last + 1 - pages_.size() : 0;
  for (size_t i = first; i < std::min(last + 1, pages_.size()); ++i) needed += pool_->references(pages_[i]) > 1;
  return needed;
}

Status PageTable::make_writable(size_t begin, size_t end, std::vector<PageCopy>& copies) {
  if (begin >= end) return {};
  const size_t first = begin / kKvPageTokens, last = (end - 1) / kKvPageTokens;
  if (const size_t needed = pages_needed(begin, end); needed > pool_->free_pages()) {
    return fail_f(ErrorCode::kResource, "the KV cache has {} free pages of {} positions, {} are needed",
                  pool_->free_pages(), kKvPageTokens, needed);
  }
  for (size_t i = first; i < std::min(last + 1, pages_.size()); ++i) {
    if (pool_->references(pages_[i]) == 1) continue;
    QUERN_TRY(const uint32_t own, pool_->acquire());
    copies.push_back({pages_[i], own});
    pool_->release(pages_[i]);
    pages_[i] = own;
  }
  while (pages_.size() <= last) {
    QUERN_TRY(const uint32_t page, pool_->acquire());
    pages_.push_back(page);
  }
  return {};
}

PageTable PageTable::over(PagePool& pool, std::span<const uint32_t> pages) {
  PageTable table(pool);
  table.pages_.assign(pages.begin(), pages.end());
  for (uint32_t page : pages) pool.share(page);
  return table;
}

size_t PageTable::own_pages() const {
  return static_cast<size_t>(
      std::count_if(pages_.begin(), pages_.end(), [this](uint32_t page) { return pool_->references(page) == 1; }));
}

bool PageTable::is_shared(size_t position) const {
  const size_t i = position / kKvPageTokens;
  return i < pages_.size() && pool_->references(pages_[i]) > 1;
}

PageTable PageTable::share(size_t n_positions) const {
  return over(*pool_, pages().first(std::min(pages_.size(), (n_positions + kKvPageTokens - 1) / kKvPageTokens)));
}

void PageTable::truncate(size_t n_positions) {
  const size_t keep = (n_positions + kKvPageTokens - 1) / kKvPageTokens;
  while (pages_.size() > keep) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
}

}  // namespace quern
