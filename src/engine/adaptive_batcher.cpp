#include "engine/adaptive_batcher.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace quern {
namespace {

constexpr double kWeight = 0.1;  // of a new interval and a new length
constexpr double kDecay = 0.95;  // of what batches cost, for each new one
// An interval counts as at most so many times max_wait_s: longer ones all say that nobody else is coming.
constexpr double kLongestInterval = 4;

}  // namespace

void AdaptiveBatcher::CostLine::add(double tokens, double seconds) {
  n = n * kDecay + 1;
  x = x * kDecay + tokens;
  y = y * kDecay + seconds;
  xx = xx * kDecay + tokens * tokens;
  xy = xy * kDecay + tokens * seconds;
}

double AdaptiveBatcher::CostLine::per_token() const {
  if (x <= 0) return 0;
  const double spread = n * xx - x * x;
  // Batches of about one size do not tell the parts of their cost apart: half of it is taken for fixed.
  if (spread < 0.01 * n * xx) return 0.5 * y / x;
  return std::clamp((n * xy - x * y) / spread, 0.0, y / x);
}

double AdaptiveBatcher::CostLine::fixed() const {
  return n > 0 ? std::max(0.0, (y - per_token() * x) / n) : 0;
}

void AdaptiveBatcher::add(uint64_t id, size_t length, double now) {
  last_bucket_ = std::min(static_cast<size_t>(std::bit_width(std::max<size_t>(1, length) - 1)), buckets_.size() - 1);
  Bucket& b = buckets_[last_bucket_];
  const bool first = b.interval < 0 && b.mean_length == 0;
  if (!first) {
    const double interval = std::clamp(now - b.last, 0.0, kLongestInterval * options_.max_wait_s);
    b.interval = b.interval < 0 ? interval : b.interval + kWeight * (interval - b.interval);
  }
  const double n = static_cast<double>(std::max<size_t>(1, length));
  b.mean_length = first ? n : b.mean_length + kWeight * (n - b.mean_length);
  b.last = now;
  b.items.push_back({id, length, now});
  arrivals_.push_back(length);
}

// Items that a batch holds, as long as they are in the mean.
size_t AdaptiveBatcher::most(const Bucket& b) const {
  const double by_tokens = static_cast<double>(options_.max_tokens) / std::max(1.0, b.mean_length);
  return std::max<size_t>(1, std::min(options_.max_batch, static_cast<size_t>(by_tokens)));
}

// The size at which one more item is not worth its wait, see the header, or the least that keeps up with arrivals: k
// items arrive in k intervals and take fixed + k x length x per_token.
AdaptiveBatcher::Target AdaptiveBatcher::target(const Bucket& b) const {
  if (b.interval < 0) return {};
  const double fixed = cost_.fixed(), item = cost_.per_token() * b.mean_length;
  size_t size = 1;
  const auto worth_it = [&](double k) { return fixed > k * (k + 1) * b.interval; };
  const auto too_slow = [&](double k) { return fixed + k * item > k * b.interval; };
  while (size < most(b) && (worth_it(static_cast<double>(size)) || too_slow(static_cast<double>(size)))) ++size;
  // Twice the mean time, since arrivals bunch: else half of all batches would leave before they are full.
  const double timeout = 2 * static_cast<double>(size - 1) * b.interval;
  return {size, std::min(timeout, options_.max_wait_s)};
}

bool AdaptiveBatcher::full(const Bucket& b, bool engine_idle) const {
  return b.items.size() >= (engine_idle ? target(b).size : most(b));
}

double AdaptiveBatcher::deadline(const Bucket& b, bool engine_idle) const {
  if (b.items.empty()) return std::numeric_limits<double>::infinity();
  const double oldest = b.items.front().added;
  if (full(b, engine_idle)) return oldest;
  return oldest + (engine_idle ? target(b).timeout : options_.max_wait_s);
}

double AdaptiveBatcher::next_deadline(bool engine_idle) const {
  double next = std::numeric_limits<double>::infinity();
  for (const Bucket& b : buckets_) next = std::min(next, deadline(b, engine_idle));
  return next;
}

std::vector<uint64_t> AdaptiveBatcher::take(double now, bool engine_idle) {
  Bucket* next = nullptr;
  for (Bucket& b : buckets_) {
    if (deadline(b, engine_idle) > now) continue;
    if (next == nullptr || b.items.front().added < next->items.front().added) next = &b;
  }
  return next == nullptr ? std::vector<uint64_t>() : give_out(*next, now);
}

std::vector<uint64_t> AdaptiveBatcher::give_out(Bucket& b, double now) {
  std::vector<uint64_t> batch;
  size_t tokens = 0, longest = 0;
  while (!b.items.empty() && batch.size() < std::max<size_t>(1, options_.max_batch)) {
    const Item& item = b.items.front();
    if (!batch.empty() && item.length > options_.max_tokens - std::min(tokens, options_.max_tokens)) break;
    tokens += item.length;
    longest = std::max(longest, item.length);
    waited_ += now - item.added;
    batch.push_back(item.id);
    b.items.pop_front();
  }
  ++batches_;
  items_ += batch.size();
  tokens_ += tokens;
  bucket_padding_ += batch.size() * longest - tokens;

  size_t mixed_tokens = 0, mixed_longest = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    mixed_tokens += arrivals_.front();
    mixed_longest = std::max(mixed_longest, arrivals_.front());
    arrivals_.pop_front();
  }
  mixed_padding_ += batch.size() * mixed_longest - mixed_tokens;
  return batch;
}

void AdaptiveBatcher::done(size_t batch_size, size_t tokens, double seconds) {
  if (batch_size == 0 || !(seconds >= 0) || !std::isfinite(seconds)) return;
  // One batch that the machine was too busy for must not make all others wait.
  const double usual = cost_.fixed() + cost_.per_token() * static_cast<double>(tokens);
  cost_.add(static_cast<double>(tokens), usual > 0 ? std::min(seconds, 3 * usual) : seconds);
}

BatcherStats AdaptiveBatcher::stats() const {
  const Target t = target(buckets_[last_bucket_]);
  const auto mean = [](double total, uint64_t n) { return n > 0 ? total / static_cast<double>(n) : 0.0; };
  return {.batches = batches_,
          .items = items_,
          .tokens = tokens_,
          .mixed_padding = mixed_padding_,
          .bucket_padding = bucket_padding_,
          .mean_wait_s = mean(waited_, items_),
          .mean_size = mean(static_cast<double>(items_), batches_),
          .size_target = t.size,
          .timeout_s = t.timeout};
}

}  // namespace quern
