#include "server/session/session_store.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace quern::server {

namespace {

constexpr std::string_view kPrefix = "strm_";
constexpr size_t kIdBytes = 16;

// Empty when there is no randomness.
std::string random_id() {
  std::array<unsigned char, kIdBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return {};
  return fmt::format("{}{:02x}", kPrefix, fmt::join(bytes, ""));
}

}  // namespace

// Ids are random, so some of their own bytes are as good as any hash, and say nothing of the rest.
size_t SessionStore::Hash::operator()(const std::string& id) const {
  size_t hash = 0;
  for (size_t i = kPrefix.size(); i < std::min(id.size(), kPrefix.size() + 8); ++i) {
    hash = hash << 8 | static_cast<unsigned char>(id[i]);
  }
  return hash;
}

bool SessionStore::SafeEqual::operator()(const std::string& a, const std::string& b) const {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

SessionStore::SessionStore(SessionLimits limits, Clock clock) : limits_(limits), clock_(std::move(clock)) {
  thread_ = std::thread([this] { run(); });
}

SessionStore::~SessionStore() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

StreamResult<std::shared_ptr<Session>> SessionStore::create(const std::string& tenant) {
  if (auto full = check_memory()) return tl::unexpected(std::move(*full));
  const std::string id = random_id();
  if (id.empty())
    return tl::unexpected(stream_error(Error{ErrorCode::kResource, "the system gives no random numbers"}));
  std::shared_ptr<Session> spent;  // closed after the lock
  auto session = std::make_shared<Session>(id, tenant, limits_.replay, totals_, clock_);
  {
    const std::lock_guard lock(mutex_);
    const auto own = of_tenant_.find(tenant);
    const size_t count = own == of_tenant_.end() ? 0 : own->second;
    if (count >= limits_.per_tenant || sessions_.size() >= limits_.in_all) spent = take_spent(tenant);
    if (!spent && (count >= limits_.per_tenant || sessions_.size() >= limits_.in_all)) {
      return tl::unexpected(StreamError{
          .status = 429,
          .code = "too_many_sessions",
          .message = fmt::format("{} sessions are open, of this key {}; close some, or raise max_sessions or "
                                 "max_sessions_per_key",
                                 sessions_.size(), count)});
    }
    sessions_.emplace(id, Entry{session, ++created_});
    ++of_tenant_[tenant];
  }
  if (spent) spent->close();
  wake_.notify_one();
  return session;
}

std::shared_ptr<Session> SessionStore::find(std::string_view tenant, std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto at = sessions_.find(std::string(id));
  return at != sessions_.end() && at->second.session->tenant == tenant ? at->second.session : nullptr;
}

void SessionStore::remove(const std::shared_ptr<Session>& session) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.erase(session->id) > 0 && --of_tenant_[session->tenant] == 0) of_tenant_.erase(session->tenant);
  }
  session->close();
}

std::optional<StreamError> SessionStore::check_memory() const {
  if (totals_->bytes.load() < limits_.bytes) return std::nullopt;
  return StreamError{.status = 429,
                     .code = "session_memory",
                     .message = fmt::format("the sessions take {} bytes, as many as they may; close some, or raise "
                                            "session_memory",
                                            totals_->bytes.load())};
}

std::shared_ptr<Session> SessionStore::take_spent(const std::string& tenant) {
  auto oldest = sessions_.end();
  for (auto at = sessions_.begin(); at != sessions_.end(); ++at) {
    const Session& s = *at->second.session;
    if (s.tenant != tenant || !s.spent()) continue;
    if (oldest == sessions_.end() || at->second.order < oldest->second.order) oldest = at;
  }
  if (oldest == sessions_.end()) return nullptr;
  std::shared_ptr<Session> session = std::move(oldest->second.session);
  sessions_.erase(oldest);
  --of_tenant_[tenant];
  return session;
}

std::vector<std::shared_ptr<Session>> SessionStore::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (const auto& [id, entry] : sessions_) all.push_back(entry.session);
  return all;
}

void SessionStore::sweep() {
  const double ttl_s = draining_ ? 0 : limits_.ttl_s;
  for (const auto& session : all()) {
    if (session->expired(ttl_s)) remove(session);
  }
}

void SessionStore::drain() {
  draining_ = true;
  sweep();
}

SessionStore::Figures SessionStore::figures() const {
  Figures f{.bytes = totals_->bytes.load()};
  for (const auto& session : all()) {
    ++f.open;
    if (!session->attached()) ++f.without_client;
  }
  return f;
}

void SessionStore::run() {
  const auto pause = std::chrono::duration<double>(std::clamp(limits_.ttl_s / 8, 0.01, 1.0));
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !sessions_.empty(); });
    wake_.wait_for(lock, pause, [this] { return stopping_; });
    if (stopping_) return;
    lock.unlock();
    sweep();
    lock.lock();
  }
}

}  // namespace quern::server
