// Session: a numbered stream of events that outlives its connections. Turns append to it, one at a time; a client
// follows it, at most one at a time, and one that comes back gets what it has not got yet.
//
// Flow: an event goes to the client as long as the client's connection keeps up. When it does not, or nobody follows
// and replay_window events wait, the turn is paused, and it goes on when somebody takes them.
//
// All members may be called from any thread. A Session's lock is held while its client and its turn are called: these
// must not block and must not call back before they return.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "server/session/conversation.h"
#include "server/session/replay_log.h"
#include "server/session/stream_error.h"

namespace quern::server {

// What attach() found: events after `after` up to `last` follow.
struct Attached {
  uint64_t after = 0, last = 0;
  bool running = false;  // a turn is
};

// The way to a client.
class Follower {
 public:
  virtual ~Follower() = default;
  // First of all, once.
  virtual void attached(const Attached& where) = 0;
  virtual void send(uint64_t seq, const std::string& event) = 0;
  // It has all events and no turn runs. False: that was all it wanted, the session lets go of it.
  virtual bool idle() = 0;
  // Another follower has taken its place, or the session was closed. Nothing is called afterwards.
  virtual void replaced() = 0;
  virtual void closed() = 0;
  // As of http::Exchange.
  [[nodiscard]] virtual size_t backlog() const = 0;
  virtual void on_drained(size_t below, std::function<void()> f) = 0;
};

// The way to a turn that runs.
class TurnControl {
 public:
  virtual ~TurnControl() = default;
  virtual void cancel() = 0;
  virtual void pause(bool paused) = 0;
};

using Clock = std::function<double()>;  // monotonic seconds

// Of all sessions of a store.
struct SessionTotals {
  std::atomic<size_t> bytes{0};
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::string id, std::string tenant, ReplayLimits limits, std::shared_ptr<SessionTotals> totals, Clock clock);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string id, tenant;

  // Turns. A number names one; what is said of another than the one that runs is ignored.
  struct Turn {
    uint64_t number = 0;
    std::shared_ptr<const Conversation> conversation;
  };
  // turn_running where one is, session_not_found where the session was closed.
  StreamResult<Turn> begin_turn();
  // Whether the client acknowledges what it has got: see ReplayLog.
  void wait_for_acknowledgements(bool wait);
  // False: it was cancelled meanwhile, or the session was closed.
  bool run_turn(uint64_t turn, std::shared_ptr<TurnControl> control);
  // {"type":TYPE,"session":ID,"seq":N MEMBERS}; `members` begins with a comma or is empty. False: nobody wants more.
  bool append(uint64_t turn, std::string_view type, std::string_view members);
  // With its last event, or without any where `type` is empty. The conversation stays as it was where `next` is null.
  void end_turn(uint64_t turn, std::string_view type, std::string_view members,
                std::shared_ptr<const Conversation> next);
  [[nodiscard]] bool was_cancelled(uint64_t turn) const;
  // Ends the turn that runs, with its partial answer; false when none does.
  bool cancel();

  // Clients. The follower gets the events after `after`, at once as far as they are there. replay_lost where some of
  // them are gone. Returns how many it gets that were delivered before. Acknowledges `after` where that is waited for.
  StreamResult<uint64_t> attach(std::shared_ptr<Follower> follower, uint64_t after);
  void detach(const Follower* follower);
  // invalid_value where the client cannot have got it.
  std::optional<StreamError> acknowledge(uint64_t seq);
  // Cancels, and lets go of the follower: the session takes nothing more.
  void close();

  [[nodiscard]] uint64_t last() const;
  // As the last turn left it.
  [[nodiscard]] std::shared_ptr<const Conversation> conversation() const;
  // Nobody follows for so long, and no turn is about to begin.
  [[nodiscard]] bool expired(double ttl) const;
  // It may be forgotten for another: no turn runs, what there was has been delivered, and nothing can follow.
  [[nodiscard]] bool spent() const;
  [[nodiscard]] bool attached() const;
  // No turn runs, and the follower has all events. Without the lock: for a follower's idle().
  [[nodiscard]] bool settled() const { return settled_.load(); }

 private:
  void append_event(std::string_view type, std::string_view members);
  // Those that call these let go of `gone` after the lock.
  void pump(std::shared_ptr<Follower>& gone);
  std::shared_ptr<Follower> let_go();
  void update_pause();
  void account();

  const Clock clock_;
  mutable std::mutex mutex_;
  ReplayLog log_;
  const std::shared_ptr<SessionTotals> totals_;
  size_t accounted_ = 0, conversation_bytes_ = 0;
  std::shared_ptr<const Conversation> conversation_;
  uint64_t turn_ = 0;
  bool running_ = false, cancelled_ = false, paused_ = false, closed_ = false;
  std::shared_ptr<TurnControl> control_;
  std::shared_ptr<Follower> follower_;
  uint64_t followers_ = 0;      // that there have been
  uint64_t next_ = 1;           // for the follower
  bool waits_drained_ = false;  // the follower will say when it has caught up
  double detached_since_;
  std::atomic<bool> settled_{true};
};

}  // namespace quern::server
