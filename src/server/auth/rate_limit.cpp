#include "server/auth/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace quern::server {

namespace {

constexpr double kMinute = 60;
// Names come from the key file; those that left it are forgotten when there are more.
constexpr size_t kMostRemembered = 2 * kMaxKeys;

}  // namespace

RateLimiter::RateLimiter(uint32_t requests_per_minute, uint32_t tokens_per_minute)
    : requests_per_minute_(requests_per_minute), tokens_per_minute_(tokens_per_minute) {}

void RateLimiter::Bucket::fill(uint32_t per_minute, double now_s) {
  const double most = per_minute;
  if (capacity == 0) {  // new, or had no limit until now
    level = most;
  } else {
    level += std::max(0.0, now_s - time_s) * most / kMinute;
  }
  capacity = most;
  level = std::min(level, capacity);
  time_s = now_s;
}

double RateLimiter::Bucket::seconds_until(double amount) const {
  if (capacity == 0) return 0;
  return std::max(0.0, std::min(amount, capacity) - level) * kMinute / capacity;
}

RateLimiter::Buckets& RateLimiter::filled(const Principal& principal, double now_s) {
  if (buckets_.size() >= kMostRemembered) forget_full(now_s);
  Buckets& buckets = buckets_[principal.name];
  buckets.requests.fill(principal.requests_per_minute.value_or(requests_per_minute_), now_s);
  buckets.tokens.fill(principal.tokens_per_minute.value_or(tokens_per_minute_), now_s);
  return buckets;
}

// A full bucket is as good as none.
void RateLimiter::forget_full(double now_s) {
  const auto full = [&](const Bucket& b) {
    return b.capacity == 0 || b.level + (now_s - b.time_s) * b.capacity / kMinute >= b.capacity;
  };
  std::erase_if(buckets_, [&](const auto& item) { return full(item.second.requests) && full(item.second.tokens); });
}

RateDecision RateLimiter::admit(const Principal& principal, uint64_t prompt_tokens, double now_s) {
  const std::lock_guard lock(mutex_);
  auto& [requests, tokens] = filled(principal, now_s);
  const double for_request = requests.seconds_until(1);
  const double for_tokens = tokens.seconds_until(static_cast<double>(prompt_tokens));
  if (for_request > 0 || for_tokens > 0) {
    return {false, for_request >= for_tokens ? "requests" : "tokens",
            std::max(1.0, std::ceil(std::max(for_request, for_tokens)))};
  }
  requests.level -= 1;
  tokens.level -= static_cast<double>(prompt_tokens);
  return {};
}

void RateLimiter::charge(const Principal& principal, uint64_t amount, double now_s) {
  const std::lock_guard lock(mutex_);
  filled(principal, now_s).tokens.level -= static_cast<double>(amount);
}

size_t RateLimiter::size() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

}  // namespace quern::server
