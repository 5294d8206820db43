// SessionStore: the streaming sessions of a server, by their ids, within limits of number and memory. Sessions that
// nobody follows for `ttl_s` end: their turn is cancelled and its slot is free.
//
// A session is its tenant's alone: for others it does not exist. Ids are 128 random bits; the one that is asked for is
// compared with those that there are in constant time. All members may be called from any thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "server/session/session.h"

namespace quern::server {

struct SessionLimits {
  double ttl_s = 600;
  ReplayLimits replay;
  size_t per_tenant = 64, in_all = 1024;
  size_t bytes = size_t{256} << 20;  // of events and conversations, of all sessions
};

class SessionStore {
 public:
  // `clock` in monotonic seconds.
  SessionStore(SessionLimits limits, Clock clock);
  ~SessionStore();
  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  // Over a number, the tenant's oldest one that is spent makes room; too_many_sessions or session_memory where there is
  // none. Over the memory no turn may begin either: see check_memory().
  StreamResult<std::shared_ptr<Session>> create(const std::string& tenant);
  // Null: unknown, or another tenant's.
  [[nodiscard]] std::shared_ptr<Session> find(std::string_view tenant, std::string_view id) const;
  // Closes the session and forgets it.
  void remove(const std::shared_ptr<Session>& session);
  [[nodiscard]] std::optional<StreamError> check_memory() const;

  // Ends those that have expired. A thread of the store's own calls it.
  void sweep();
  // From here on, those that nobody follows end at once: nobody can come back.
  void drain();

  struct Figures {
    size_t open = 0, without_client = 0, bytes = 0;
  };
  [[nodiscard]] Figures figures() const;

 private:
  struct Hash {
    size_t operator()(const std::string& id) const;
  };
  struct SafeEqual {
    bool operator()(const std::string& a, const std::string& b) const;
  };
  [[nodiscard]] std::vector<std::shared_ptr<Session>> all() const;
  std::shared_ptr<Session> take_spent(const std::string& tenant);
  void run();

  const SessionLimits limits_;
  const Clock clock_;
  const std::shared_ptr<SessionTotals> totals_ = std::make_shared<SessionTotals>();
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  struct Entry {
    std::shared_ptr<Session> session;
    uint64_t order;  // of creation
  };
  std::unordered_map<std::string, Entry, Hash, SafeEqual> sessions_;
  std::unordered_map<std::string, size_t> of_tenant_;  // how many
  uint64_t created_ = 0;
  std::atomic<bool> draining_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quern::server
