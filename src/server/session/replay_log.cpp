#include "server/session/replay_log.h"

#include <algorithm>

namespace quern::server {

namespace {

constexpr size_t kEventOverhead = sizeof(std::string) + 16;  // with the allocator's

size_t cost(const std::string& event) {
  return event.size() + kEventOverhead;
}

}  // namespace

void ReplayLog::append(std::string event) {
  ahead_bytes_ += cost(event);
  events_.push_back(std::move(event));
}

void ReplayLog::deliver(uint64_t seq) {
  seq = std::min(seq, last());
  while (delivered_ < seq) {
    const size_t bytes = cost(at(++delivered_));
    ahead_bytes_ -= bytes;
    behind_bytes_ += bytes;
  }
  if (acknowledged_only_) return;
  while (first_ <= delivered_ && (delivered_ - first_ >= limits_.events || behind_bytes_ > limits_.bytes)) drop_first();
}

void ReplayLog::acknowledge(uint64_t seq) {
  seq = std::min(seq, delivered_);
  while (first_ <= seq) drop_first();
}

bool ReplayLog::full() const {
  if (acknowledged_only_) return events_.size() >= limits_.events || bytes() >= limits_.bytes;
  return last() - delivered_ >= limits_.events || ahead_bytes_ >= limits_.bytes;
}

void ReplayLog::drop_first() {
  behind_bytes_ -= cost(events_.front());
  events_.pop_front();
  ++first_;
}

}  // namespace quern::server
