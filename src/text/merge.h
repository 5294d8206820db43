// The merge loop that BPE and SentencePiece share: replace the best adjacent pair by its union until none is left.
//
// O(n log n) for a word of n symbols however long: a linked list of symbols and a priority queue of candidate pairs,
// stale ones dropped when popped. A pair is best when its rank is lowest, leftmost among equals, as in Sennrich et al.
// 2016 and SentencePiece's bpe_model. Scratch memory belongs to the caller's encode call; no shared state.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace quern {

inline constexpr uint32_t kNoRank = UINT32_MAX;

struct PairMerge {
  uint32_t rank = kNoRank;
  int32_t merged = kNoToken;
};

struct Symbol {
  uint32_t begin;       // offset in the word
  uint32_t prev, next;  // indices; next of the last is the sentinel at the end, prev of the first is kNoRank
  int32_t id;           // token, or kNoToken
  PairMerge pair;       // with the next symbol; rank kNoRank when there is none, or when this symbol is gone
};

// The ranks that a vocabulary has, divided into buckets of 2^shift ranks.
struct RankRange {
  uint32_t min = 0;
  uint32_t max = 0;
  int shift = 0;

  static RankRange of(uint32_t min, uint32_t max) {
    constexpr int kMaxBucketBits = 19;
    return {min, max, std::max(0, static_cast<int>(std::bit_width(max - min)) - kMaxBucketBits)};
  }
  [[nodiscard]] uint32_t bucket(uint32_t rank) const { return (rank - min) >> shift; }
};

// A priority queue of keys (rank << 32 | symbol index), smallest first.
//
// A short word's keys are in a heap. In a long one (a megabyte without a space) a heap misses the cache at every level,
// so keys wait in lists by bucket of rank, and a bucket is sorted when its turn comes. Merges nearly always lead to
// higher ranks, so that buckets are visited once, in order; keys that come too late for that go to the heap.
//
// Measured on a megabyte of random letters (Zen 4, one idle core): gpt-2 204 ms, starcoder 270; fetching ahead what the
// next keys refer to (upcoming) took 6 % off both.
class MergeQueue {
 public:
  void start(const RankRange& range, size_t n_symbols) {
    range_ = range;
    current_ = n_symbols < kBucketsFrom ? INT64_MAX : -1;
    if (current_ < 0) heads_.resize(range.bucket(range.max) + size_t{1}, kEnd);
    entries_.clear();
    batch_.clear();
    next_ = 0;
  }

  void push(uint64_t key) {
    const auto rank = static_cast<uint32_t>(key >> 32);
    if (current_ == INT64_MAX || range_.bucket(rank) <= current_) {
      heap_.push_back(key);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
      return;
    }
    uint32_t& head = heads_[range_.bucket(rank)];
    entries_.push_back({key, head});
    head = static_cast<uint32_t>(entries_.size() - 1);
  }

  // A key that will be popped soon, for the caller to fetch ahead what it refers to; 0 when unknown.
  [[nodiscard]] uint64_t upcoming() const { return next_ + kAhead < batch_.size() ? batch_[next_ + kAhead] : 0; }

  // False when empty.
  bool pop(uint64_t& key) {
    if (next_ == batch_.size() && heap_.empty() && !next_bucket()) return false;
    if (next_ < batch_.size() && (heap_.empty() || batch_[next_] < heap_.front())) {
      key = batch_[next_++];
      return true;
    }
    key = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    return true;
  }

 private:
  static constexpr size_t kBucketsFrom = 16384;  // symbols; their heap is 128 KiB, which a second-level cache holds
  static constexpr size_t kAhead = 12;
  static constexpr uint32_t kEnd = UINT32_MAX;
  struct Entry {
    uint64_t key;
    uint32_t next;
  };

  // Takes the next bucket that is not empty, and leaves it empty for the next word.
  bool next_bucket() {
    if (current_ == INT64_MAX) return false;
    const auto n = static_cast<int64_t>(heads_.size());
    do {
      if (++current_ >= n) return false;
    } while (heads_[static_cast<size_t>(current_)] == kEnd);
    batch_.clear();
    next_ = 0;
    uint32_t& head = heads_[static_cast<size_t>(current_)];
    for (uint32_t i = head; i != kEnd; i = entries_[i].next) batch_.push_back(entries_[i].key);
    head = kEnd;
    std::reverse(batch_.begin(), batch_.end());
    if (!std::is_sorted(batch_.begin(), batch_.end())) std::sort(batch_.begin(), batch_.end());
    return true;
  }

  RankRange range_;
  int64_t current_ = INT64_MAX;  // the bucket in batch_; INT64_MAX: no buckets
  std::vector<uint32_t> heads_;  // first of each bucket's list in entries_
  std::vector<Entry> entries_;
  std::vector<uint64_t> batch_;  // ascending, taken up to next_
  size_t next_ = 0;
  std::vector<uint64_t> heap_;
};

struct MergeScratch {
  std::vector<Symbol> symbols;  // one for each symbol, and a sentinel whose begin is the word's length
  MergeQueue queue;

  void start(size_t capacity) {
    symbols.clear();
    symbols.reserve(capacity + 1);
  }
  void add(uint32_t begin, int32_t id) {
    const auto i = static_cast<uint32_t>(symbols.size());
    symbols.push_back({begin, i - 1, i + 1, id, {}});
  }
};

// Words longer than this are cut, so that offsets fit 32 bits; no vocabulary was trained on such words.
inline constexpr size_t kMaxWordBytes = size_t{1} << 28;

// Merges scratch.symbols, whose last is the sentinel. find(left, right, end) answers for two neighbours, where `end` is
// the offset of the right one's end; its ranks are in `range`. What remains is reached from symbol 0 by next.
template <class FindPair>
void merge_symbols(MergeScratch& scratch, const RankRange& range, FindPair&& find) {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto last = static_cast<uint32_t>(symbols.size() - 1);
  queue.start(range, last);
  const auto push = [&](uint32_t i) {
    Symbol& left = symbols[i];
    left.pair = {};
    if (left.next == last) return;
    const Symbol& right = symbols[left.next];
    left.pair = find(left, right, symbols[right.next].begin);
    if (left.pair.rank != kNoRank) queue.push(static_cast<uint64_t>(left.pair.rank) << 32 | i);
  };
  for (uint32_t i = 0; i < last; ++i) push(i);
  for (uint64_t key; queue.pop(key);) {
    __builtin_prefetch(&symbols[static_cast<uint32_t>(queue.upcoming())], 1);
    const auto i = static_cast<uint32_t>(key);
    Symbol& left = symbols[i];
    if (left.pair.rank != key >> 32) continue;  // a neighbour changed since
    Symbol& right = symbols[left.next];
    left.id = left.pair.merged;
    left.next = right.next;
    symbols[right.next].prev = i;
    right.pair = {};
    push(i);
    if (left.prev != kNoRank) push(left.prev);
  }
}

// Results of short words within one encode call: natural text repeats its words, which saves about two thirds of the
// time on prose. Direct-mapped; a collision overwrites.
class WordCache {
 public:
  // Small texts do not earn back the 256 KiB to clear.
  explicit WordCache(size_t text_bytes) {
    if (text_bytes >= kMinText) entries_.resize(kEntries);
  }

  // Appends the ids of a word seen before; false when it is not here.
  bool get(std::string_view word, std::vector<int32_t>& out) const {
    if (entries_.empty() || word.size() > kMaxWord) return false;
    const Entry& e = entries_[hash_bytes(word) % kEntries];
    if (std::string_view(e.word, e.len) != word) return false;
    out.insert(out.end(), e.ids, e.ids + e.n);
    return e.len != 0;
  }
  void put(std::string_view word, const int32_t* ids, size_t n) {
    if (entries_.empty() || word.size() > kMaxWord || n > kMaxIds) return;
    Entry& e = entries_[hash_bytes(word) % kEntries];
    e.len = static_cast<uint8_t>(word.size());
    e.n = static_cast<uint8_t>(n);
    std::copy(word.begin(), word.end(), e.word);
    std::copy(ids, ids + n, e.ids);
  }

 private:
  static constexpr size_t kMinText = 4096;
  static constexpr size_t kEntries = 4096;
  static constexpr size_t kMaxWord = 30;
  static constexpr size_t kMaxIds = 8;
  struct Entry {
    uint8_t len = 0;
    uint8_t n = 0;
    char word[kMaxWord];
    int32_t ids[kMaxIds];
  };
  static_assert(sizeof(Entry) == 64);
  std::vector<Entry> entries_;
};

}  // namespace quern
