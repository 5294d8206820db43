// TokenCounts: how often each token occurs in a sliding window of the text, kept as tokens come and go: O(1) to add or
// remove, and the distinct tokens are listed without a pass over the vocabulary. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace quern {

class TokenCounts {
 public:
  struct Entry {
    int32_t id;
    uint32_t count;
  };

  // Ids handed to add() and remove() are below `n_vocab`.
  explicit TokenCounts(size_t n_vocab = 0) : slot_(n_vocab) {}

  void add(int32_t id) {
    uint32_t& slot = slot_[static_cast<size_t>(id)];
    if (slot == 0) {
      entries_.push_back({id, 0});
      slot = static_cast<uint32_t>(entries_.size());
    }
    ++entries_[slot - 1].count;
  }

  // `id` is in the window.
  void remove(int32_t id) {
    uint32_t& slot = slot_[static_cast<size_t>(id)];
    Entry& entry = entries_[slot - 1];
    if (--entry.count > 0) return;
    entry = entries_.back();
    slot_[static_cast<size_t>(entry.id)] = slot;
    slot = 0;
    entries_.pop_back();
  }

  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }

 private:
  std::vector<uint32_t> slot_;  // by id: 1 + its index in entries_, 0 when absent
  std::vector<Entry> entries_;
};

}  // namespace quern
