#include "server/http/core.h"

#include <chrono>

namespace quern::http {

int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t deadline_in(double seconds) {
  constexpr double kYear = 365 * 86400.0;  // keeps a senseless option from overflowing
  return steady_ns() + static_cast<int64_t>(std::min(std::max(seconds, 0.0), kYear) * 1e9);
}

Stage Registry::add(const std::shared_ptr<Peer>& peer, Place& place) {
  const std::lock_guard lock(mutex_);
  place = peers_.insert(peers_.end(), peer);
  return stage_;
}

Stage Registry::replace(Place place, const std::shared_ptr<Peer>& peer) {
  std::shared_ptr<Peer> old = peer;
  const std::lock_guard lock(mutex_);
  old.swap(*place);
  return stage_;
}

void Registry::remove(Place place) {
  std::shared_ptr<Peer> old;
  const std::lock_guard lock(mutex_);
  old.swap(*place);
  peers_.erase(place);
}

void Registry::set_stage(Stage stage) {
  const std::lock_guard lock(mutex_);
  stage_ = stage;
}

size_t Registry::size() const {
  const std::lock_guard lock(mutex_);
  return peers_.size();
}

std::vector<std::shared_ptr<Peer>> Registry::all() const {
  const std::lock_guard lock(mutex_);
  return {peers_.begin(), peers_.end()};
}

std::vector<std::shared_ptr<Peer>> Registry::expired(int64_t now_ns) const {
  std::vector<std::shared_ptr<Peer>> out;
  const std::lock_guard lock(mutex_);
  for (const auto& peer : peers_) {
    const int64_t deadline = peer->deadline_ns.load(std::memory_order_relaxed);
    if (deadline != 0 && deadline < now_ns) out.push_back(peer);
  }
  return out;
}

Response Core::error(int status, std::string_view code, std::string_view message) const {
  return handlers.error ? handlers.error(status, code, message) : error_response(status, code, message);
}

void Core::open_exchange() {
  const std::lock_guard lock(mutex);
  ++exchanges;
}

void Core::close_exchange() {
  const std::lock_guard lock(mutex);
  if (--exchanges == 0) idle.notify_all();
}

TlsContext Core::tls() const {
  const std::lock_guard lock(mutex);
  return tls_context;
}

void Core::set_tls(TlsContext context) {
  const std::lock_guard lock(mutex);
  tls_context.swap(context);
}

}  // namespace quern::http
