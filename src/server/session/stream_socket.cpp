#include "server/session/stream_socket.h"

#include <exception>
#include <utility>

#include "base/clock.h"
#include "server/app.h"
#include "server/session/turn.h"

namespace quern::server {

namespace {

constexpr uint16_t kGoingAway = 1001, kPolicyViolation = 1008;
// Messages that wait to be handled.
constexpr size_t kMaxInboxBytes = size_t{8} << 20;

std::string session_message(std::string_view session, std::string_view ref) {
  Json message = {{"type", "session"}, {"session", session}};
  if (!ref.empty()) message["ref"] = ref;
  return dump(message);
}

}  // namespace

// Called under its session's lock.
class StreamSocket::SocketFollower final : public Follower {
 public:
  SocketFollower(const std::shared_ptr<StreamSocket>& owner, std::string session, Greeting greeting)
      : owner_(owner), socket_(owner->socket_), session_(std::move(session)), greeting_(std::move(greeting)) {}

  void attached(const Attached& where) override {
    if (!greeting_.wanted) return;
    Json message = {{"type", "session"},
                    {"session", session_},
                    {"after", where.after},
                    {"last", where.last},
                    {"running", where.running}};
    if (!greeting_.ref.empty()) message["ref"] = greeting_.ref;
    socket_->send(dump(message));
  }
  void send(uint64_t, const std::string& event) override { socket_->send(event); }
  bool idle() override {
    if (const auto owner = owner_.lock()) owner->close_when_settled();
    return true;
  }
  // Silent where this very connection follows anew.
  void replaced() override {
    if (forget()) socket_->send(dump({{"type", "detached"}, {"session", session_}, {"code", "followed_elsewhere"}}));
  }
  void closed() override {
    if (forget()) socket_->send(dump({{"type", "closed"}, {"session", session_}}));
  }
  [[nodiscard]] size_t backlog() const override { return socket_->backlog(); }
  void on_drained(size_t below, std::function<void()> f) override { socket_->on_drained(below, std::move(f)); }

 private:
  bool forget() {
    const auto owner = owner_.lock();
    if (!owner) return false;
    Followed gone;  // goes after the lock
    const std::lock_guard lock(owner->mutex_);
    const auto at = owner->followed_.find(session_);
    if (at == owner->followed_.end() || at->second.follower.get() != this) return false;
    gone = std::move(at->second);
    owner->followed_.erase(at);
    return true;
  }

  const std::weak_ptr<StreamSocket> owner_;
  const std::shared_ptr<http::WebSocket> socket_;
  const std::string session_;
  const Greeting greeting_;
};

StreamSocket::StreamSocket(App& app, std::shared_ptr<http::WebSocket> socket,
                           std::shared_ptr<const Principal> principal)
    : app_(app), socket_(std::move(socket)), principal_(std::move(principal)) {}

void StreamSocket::start(App& app, std::shared_ptr<http::WebSocket> socket,
                         std::shared_ptr<const Principal> principal) {
  const std::shared_ptr<StreamSocket> self(new StreamSocket(app, std::move(socket), std::move(principal)));
  self->socket_->on_drain([weak = std::weak_ptr(self)] {
    const auto alive = weak.lock();
    if (!alive) return;
    {
      const std::lock_guard lock(alive->mutex_);
      alive->draining_ = true;
    }
    alive->close_when_settled();
  });
  self->socket_->start([self](std::string text) { self->on_message(std::move(text)); }, [self] { self->leave_all(); });
}

void StreamSocket::on_message(std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    inbox_bytes_ += text.size();
    inbox_.push_back(std::move(text));
    if (inbox_bytes_ <= kMaxInboxBytes) {
      if (std::exchange(handling_, true)) return;
      return app_.work.post([self = shared_from_this()] { self->handle_next(); });
    }
    inbox_.clear();
  }
  socket_->close(kPolicyViolation, "too many messages that wait to be handled");
}

void StreamSocket::handle_next() {
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    if (inbox_.empty()) {
      handling_ = false;
      return;
    }
    text = std::move(inbox_.front());
    inbox_.pop_front();
    inbox_bytes_ -= text.size();
  }
  try {
    handle(text);
  } catch (const std::exception& error) {  // ours are Results: memory, or a defect
    fail(stream_error(Error{ErrorCode::kIo, fmt::format("internal error: {}", error.what())}), {}, {});
  }
  app_.work.post([self = shared_from_this()] { self->handle_next(); });  // others' work comes between
}

void StreamSocket::handle(std::string_view text) {
  ClientMessage message;
  if (const auto wrong = read_message(text, message)) return fail(*wrong, message.session, message.ref);
  if (message.type == MessageType::kPing) {
    Json pong = {{"type", "pong"}};
    if (!message.ref.empty()) pong["ref"] = message.ref;
    return socket_->send(dump(pong));
  }
  if (message.type == MessageType::kStart || message.type == MessageType::kAppend) return begin(message);
  const auto session = app_.sessions.find(principal_->tenant, message.session);
  if (!session) return fail(session_not_found(), message.session, message.ref);
  switch (message.type) {
    case MessageType::kResume:
      return resume(message, session);
    case MessageType::kAck:
      if (const auto wrong = session->acknowledge(message.after)) fail(*wrong, session->id, message.ref);
      return;
    case MessageType::kCancel:
      if (!session->cancel()) {
        fail({.status = 409, .code = "not_running", .message = "the session has no turn to cancel"}, session->id,
             message.ref);
      }
      return;
    default:
      app_.sessions.remove(session);
  }
}

void StreamSocket::begin(const ClientMessage& message) {
  const bool fresh = message.type == MessageType::kStart && message.session.empty();
  std::shared_ptr<Session> session;
  StreamOptions options;
  if (!fresh) {
    session = app_.sessions.find(principal_->tenant, message.session);
    if (!session) return fail(session_not_found(), message.session, message.ref);
    options = session->conversation()->options;
  }
  auto body = read_start(message, std::move(options));
  if (!body) return fail(body.error(), message.session, message.ref);
  if (const RateDecision rate = app_.limits.admit(*principal_, 0, now_s()); !rate.allowed) {
    app_.metrics.rate_limited(rate.limit);
    return fail({.status = 429,
                 .code = "rate_limit_exceeded",
                 .message = fmt::format("the {} of this key are used up for {:.0f} s", rate.limit, rate.retry_after_s)},
                message.session, message.ref);
  }
  if (fresh) {
    auto created = app_.sessions.create(principal_->tenant);
    if (!created) return fail(created.error(), {}, message.ref);
    session = std::move(*created);
  }
  {
    const std::lock_guard lock(mutex_);
    ++starting_;
  }
  const TurnClient client{.principal = principal_, .address = socket_->request().remote, .websocket = true};
  const bool greet = message.type == MessageType::kStart;
  start_turn(app_, client, session, std::move(*body),
             [self = shared_from_this(), session, fresh, greet, ref = message.ref,
              after = session->last()](const std::optional<StreamError>& error) {
               self->started(session, fresh, after, greet ? std::optional(ref) : std::nullopt, error);
             });
}

// `ref` where the client is to be told of the session.
void StreamSocket::started(const std::shared_ptr<Session>& session, bool fresh, uint64_t after,
                           const std::optional<std::string>& ref, const std::optional<StreamError>& error) {
  bool followed = false;
  {
    const std::lock_guard lock(mutex_);
    --starting_;
    followed = followed_.contains(session->id);
  }
  if (error) {
    if (fresh) app_.sessions.remove(session);
    fail(*error, fresh ? std::string_view() : session->id, ref.value_or(""));
  } else if (followed) {
    if (ref) socket_->send(session_message(session->id, *ref));
  } else {
    const bool there = follow(session, after, {.ref = ref.value_or(""), .wanted = ref.has_value()});
    if (!there && fresh) app_.sessions.remove(session);  // nobody knows its id
  }
  close_when_settled();
}

void StreamSocket::resume(const ClientMessage& message, const std::shared_ptr<Session>& session) {
  follow(session, message.after, {.ref = message.ref, .wanted = true});
}

bool StreamSocket::follow(const std::shared_ptr<Session>& session, uint64_t after, Greeting greeting) {
  const std::string ref = greeting.ref;
  const auto follower = std::make_shared<SocketFollower>(shared_from_this(), session->id, std::move(greeting));
  Followed before;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    before = std::exchange(followed_[session->id], {session, follower});
  }
  const auto replayed = session->attach(follower, after);
  bool closed = false;
  {
    const std::lock_guard lock(mutex_);
    closed = closed_;
    const auto at = followed_.find(session->id);
    if (!replayed && at != followed_.end() && at->second.follower == follower) {  // all stays as it was
      if (before.session) {
        at->second = before;
      } else {
        followed_.erase(at);
      }
    }
  }
  if (!replayed) {
    fail(replayed.error(), session->id, ref);
    return false;
  }
  app_.metrics.replayed(*replayed);
  if (closed) session->detach(follower.get());  // closed meanwhile, when it was not yet attached
  return !closed;
}

void StreamSocket::leave_all() {
  std::map<std::string, Followed> followed;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    inbox_.clear();
    followed.swap(followed_);
  }
  for (const auto& [id, f] : followed) f.session->detach(f.follower.get());
}

// While the server drains: when all turns have ended and all events have been sent.
void StreamSocket::close_when_settled() {
  {
    std::vector<std::shared_ptr<Session>> sessions;
    {
      const std::lock_guard lock(mutex_);
      if (!draining_ || starting_ > 0) return;
      for (const auto& [id, f] : followed_) sessions.push_back(f.session);
    }
    for (const auto& session : sessions) {
      if (!session->settled()) return;
    }
  }
  socket_->close(kGoingAway, "the server is shutting down");
}

void StreamSocket::fail(const StreamError& error, std::string_view session, std::string_view ref) {
  Json message = {{"type", "error"}};
  if (!session.empty()) message["session"] = session;
  if (!ref.empty()) message["ref"] = ref;
  message["code"] = error.code;
  message["message"] = error.message;
  if (!error.param.empty()) message["param"] = error.param;
  if (error.first > 0) message["first"] = error.first;
  socket_->send(dump(message));
}

}  // namespace quern::server
