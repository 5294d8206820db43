// ReplayLog: the latest events of a session, numbered from 1 without a gap, for a client that comes back.
//
// Kept are all events that were not delivered yet, and behind them as many as the limits say; for a client that
// acknowledges, all that it has not acknowledged. Whoever appends asks full() and holds back what makes the events: the
// log itself drops none of these. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace quern::server {

// Of the delivered events that are kept, and again of those that wait.
struct ReplayLimits {
  size_t events = 4096;
  size_t bytes = size_t{1} << 20;
};

class ReplayLog {
 public:
  explicit ReplayLog(ReplayLimits limits) : limits_(limits) {}

  // Its number is last() from now on.
  void append(std::string event);
  // All up to `seq` were handed to a client's connection.
  void deliver(uint64_t seq);
  // From here on an event is kept until it is acknowledged, and full() counts from there.
  void wait_for_acknowledgements(bool wait) { acknowledged_only_ = wait; }
  [[nodiscard]] bool waits_for_acknowledgements() const { return acknowledged_only_; }
  // A client has all up to `seq`, of those that were delivered: they go.
  void acknowledge(uint64_t seq);

  // For first() <= seq <= last().
  [[nodiscard]] const std::string& at(uint64_t seq) const { return events_[seq - first_]; }
  [[nodiscard]] uint64_t first() const { return first_; }  // last() + 1 where none is kept
  [[nodiscard]] uint64_t last() const { return first_ + events_.size() - 1; }
  [[nodiscard]] uint64_t delivered() const { return delivered_; }
  // As many wait as may.
  [[nodiscard]] bool full() const;
  [[nodiscard]] size_t bytes() const { return behind_bytes_ + ahead_bytes_; }

 private:
  void drop_first();

  const ReplayLimits limits_;
  std::deque<std::string> events_;
  bool acknowledged_only_ = false;
  uint64_t first_ = 1, delivered_ = 0;
  size_t behind_bytes_ = 0, ahead_bytes_ = 0;  // delivered, and not yet
};

}  // namespace quern::server
