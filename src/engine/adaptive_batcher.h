// AdaptiveBatcher: groups work without streams (embeddings, batch jobs) into batches of similar length. Pure policy:
// the clock is passed in, the work is an id. One thread at a time may call it; it cannot fail.
//
// An item waits for others of its length (a power of two) only while that pays: one more in a batch of k saves each of
// them fixed / (k (k + 1)) seconds of the engine, where `fixed` is what a batch costs whatever is in it, and takes one
// interval between arrivals. Both are measured. Where batches of that size could not keep up with the arrivals, they
// are larger. While the engine is busy waiting costs nothing, and batches fill up. Nothing waits longer than
// max_wait_s.
//
// The engine's batches are ragged: it computes no padding, with or without buckets. The statistics say what an engine
// that pads would have computed. What similar lengths still bring here is that a batch ends as a whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace quern {

struct BatcherOptions {
  size_t max_batch = 32;      // items, >= 1
  size_t max_tokens = 16384;  // of a batch with more than one item
  double max_wait_s = 0.05;   // that an item waits for others
};

struct BatcherStats {
  uint64_t batches = 0, items = 0, tokens = 0;
  uint64_t mixed_padding = 0;   // tokens, had items been batched as they came and padded to the longest
  uint64_t bucket_padding = 0;  // tokens, had these batches been padded to the longest; computed here: none
  double mean_wait_s = 0;
  double mean_size = 0;
  size_t size_target = 1;  // of the bucket that got an item last
  double timeout_s = 0;    // of the same
};

class AdaptiveBatcher {
 public:
  explicit AdaptiveBatcher(const BatcherOptions& options = {}) : options_(options) {}

  void add(uint64_t id, size_t length, double now);

  // A batch of one bucket, oldest first, if one is full or has waited long enough; else empty. Call again until empty.
  // While the engine is not idle only what is full to max_batch or has waited for max_wait_s is given out.
  std::vector<uint64_t> take(double now, bool engine_idle);

  // When take() will next give out what waits now; infinity if nothing waits.
  [[nodiscard]] double next_deadline(bool engine_idle = true) const;

  // A batch that was taken is computed. Its cost tunes sizes and time-outs.
  void done(size_t batch_size, size_t tokens, double seconds);

  [[nodiscard]] size_t waiting() const { return arrivals_.size(); }
  [[nodiscard]] BatcherStats stats() const;

 private:
  struct Item {
    uint64_t id = 0;
    size_t length = 0;
    double added = 0;
  };
  struct Bucket {
    std::deque<Item> items;
    double last = 0;       // arrival
    double interval = -1;  // between arrivals, running average; < 0: less than two came
    double mean_length = 0;
  };
  struct Target {
    size_t size = 1;
    double timeout = 0;
  };
  // Of seconds over tokens: what a batch costs is fixed + per_token x tokens. Forgets.
  struct CostLine {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;  // weighted sums
    void add(double tokens, double seconds);
    [[nodiscard]] double per_token() const;
    [[nodiscard]] double fixed() const;
  };

  [[nodiscard]] size_t most(const Bucket& bucket) const;
  [[nodiscard]] Target target(const Bucket& bucket) const;
  [[nodiscard]] double deadline(const Bucket& bucket, bool engine_idle) const;
  [[nodiscard]] bool full(const Bucket& bucket, bool engine_idle) const;
  std::vector<uint64_t> give_out(Bucket& bucket, double now);

  BatcherOptions options_;
  std::array<Bucket, 64> buckets_;  // bucket b: lengths up to 2^b
  std::deque<size_t> arrivals_;     // lengths of what waits, in order: the batches of an engine without buckets
  CostLine cost_;
  size_t last_bucket_ = 0;
  uint64_t batches_ = 0, items_ = 0, tokens_ = 0, mixed_padding_ = 0, bucket_padding_ = 0;
  double waited_ = 0;
};

}  // namespace quern
