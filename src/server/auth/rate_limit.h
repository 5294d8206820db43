// RateLimiter: a token bucket of requests and one of tokens for each principal. A bucket holds a minute's figure, so a
// client that was quiet may send that much at once, and fills evenly.
//
// Time is passed in (monotonic seconds, base/clock.h). Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "server/auth/api_keys.h"

namespace quern::server {

struct RateDecision {
  bool allowed = true;
  const char* limit = "";    // "requests" or "tokens": what was used up
  double retry_after_s = 0;  // whole seconds, at least 1, for the header Retry-After
};

class RateLimiter {
 public:
  // For principals without figures of their own; 0: no limit.
  RateLimiter(uint32_t requests_per_minute, uint32_t tokens_per_minute);

  // Takes one request and its prompt's tokens where both buckets have them, else nothing. A prompt larger than a whole
  // bucket is let through when the bucket is full, and leaves it in debt.
  RateDecision admit(const Principal& principal, uint64_t prompt_tokens, double now_s);
  // Takes the tokens of the output, known only afterwards; the bucket may go into debt.
  void charge(const Principal& principal, uint64_t tokens, double now_s);

  [[nodiscard]] size_t size() const;  // principals that are remembered

 private:
  struct Bucket {
    double capacity = 0;  // 0: no limit
    double level = 0;
    double time_s = 0;

    void fill(uint32_t per_minute, double now_s);
    [[nodiscard]] double seconds_until(double amount) const;  // 0: there is enough
  };
  struct Buckets {
    Bucket requests, tokens;
  };
  Buckets& filled(const Principal& principal, double now_s);
  void forget_full(double now_s);

  const uint32_t requests_per_minute_, tokens_per_minute_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Buckets> buckets_;
};

}  // namespace quern::server
