#include "server/session/session.h"

#include <algorithm>
#include <utility>

namespace quern::server {

namespace {

// A connection this far behind gets nothing more, and at a quarter of that it goes on.
constexpr size_t kPauseBytes = 256 << 10, kResumeBytes = 64 << 10;
constexpr size_t kSessionBytes = sizeof(Session) + 512;  // with what its maps and strings take

}  // namespace

Session::Session(std::string i, std::string t, ReplayLimits limits, std::shared_ptr<SessionTotals> totals, Clock clock)
    : id(std::move(i)),
      tenant(std::move(t)),
      clock_(std::move(clock)),
      log_(limits),
      totals_(std::move(totals)),
      conversation_(std::make_shared<const Conversation>()),
      detached_since_(clock_()) {
  account();
}

Session::~Session() {
  totals_->bytes -= accounted_;
}

// --- turns

StreamResult<Session::Turn> Session::begin_turn() {
  const std::lock_guard lock(mutex_);
  if (closed_) return tl::unexpected(session_not_found());
  if (running_) {
    return tl::unexpected(
        StreamError{.status = 409,
                    .code = "turn_running",
                    .message = "the session's last turn has not ended; wait for its end, or cancel it"});
  }
  running_ = true;
  cancelled_ = paused_ = false;
  settled_ = false;
  return Turn{++turn_, conversation_};
}

void Session::wait_for_acknowledgements(bool wait) {
  const std::lock_guard lock(mutex_);
  log_.wait_for_acknowledgements(wait);
}

bool Session::run_turn(uint64_t turn, std::shared_ptr<TurnControl> control) {
  const std::lock_guard lock(mutex_);
  if (turn != turn_ || !running_ || cancelled_ || closed_) return false;
  control_ = std::move(control);
  update_pause();
  return true;
}

bool Session::append(uint64_t turn, std::string_view type, std::string_view members) {
  std::shared_ptr<Follower> gone;
  const std::lock_guard lock(mutex_);
  if (turn != turn_ || !running_ || closed_) return false;
  append_event(type, members);
  pump(gone);
  return !cancelled_;
}

void Session::end_turn(uint64_t turn, std::string_view type, std::string_view members,
                       std::shared_ptr<const Conversation> next) {
  std::shared_ptr<Follower> gone;
  const std::lock_guard lock(mutex_);
  if (turn != turn_ || !running_) return;
  running_ = false;
  control_.reset();
  if (next) {
    conversation_ = std::move(next);
    conversation_bytes_ = conversation_->bytes();
  }
  if (!type.empty() && !closed_) append_event(type, members);
  pump(gone);
  account();
}

bool Session::was_cancelled(uint64_t turn) const {
  const std::lock_guard lock(mutex_);
  return turn == turn_ && cancelled_;
}

bool Session::cancel() {
  const std::lock_guard lock(mutex_);
  if (!running_) return false;
  cancelled_ = true;
  if (control_) control_->cancel();
  return true;
}

// --- clients

StreamResult<uint64_t> Session::attach(std::shared_ptr<Follower> follower, uint64_t after) {
  std::shared_ptr<Follower> old, gone;
  const std::lock_guard lock(mutex_);
  if (closed_) return tl::unexpected(session_not_found());
  if (after > log_.last()) {
    return tl::unexpected(StreamError{.code = "invalid_value",
                                      .message = fmt::format("the session's last event is {}", log_.last()),
                                      .param = "after"});
  }
  if (after + 1 < log_.first()) {
    return tl::unexpected(StreamError{
        .status = 410,
        .code = "replay_lost",
        .message = fmt::format("events {} to {} are gone: they were acknowledged or have left the replay window",
                               after + 1, log_.first() - 1),
        .first = log_.first()});
  }
  old = std::exchange(follower_, std::move(follower));
  if (old && old != follower_) old->replaced();
  ++followers_;
  next_ = after + 1;
  waits_drained_ = false;
  const uint64_t again = log_.delivered() > after ? log_.delivered() - after : 0;
  if (log_.waits_for_acknowledgements()) log_.acknowledge(after);  // that it has these is what `after` says
  follower_->attached({.after = after, .last = log_.last(), .running = running_});
  pump(gone);
  return again;
}

void Session::detach(const Follower* follower) {
  std::shared_ptr<Follower> gone;
  const std::lock_guard lock(mutex_);
  if (follower_.get() != follower) return;
  gone = let_go();
  update_pause();
}

std::optional<StreamError> Session::acknowledge(uint64_t seq) {
  const std::lock_guard lock(mutex_);
  if (seq > log_.delivered()) {
    return StreamError{.code = "invalid_value",
                       .message = fmt::format("event {} was not sent yet, the last was {}", seq, log_.delivered()),
                       .param = "seq"};
  }
  log_.acknowledge(seq);
  update_pause();
  account();
  return std::nullopt;
}

void Session::close() {
  std::shared_ptr<Follower> gone;
  const std::lock_guard lock(mutex_);
  if (std::exchange(closed_, true)) return;
  cancelled_ = true;
  if (running_ && control_) control_->cancel();
  gone = let_go();
  if (gone) gone->closed();
  settled_ = true;
}

uint64_t Session::last() const {
  const std::lock_guard lock(mutex_);
  return log_.last();
}

std::shared_ptr<const Conversation> Session::conversation() const {
  const std::lock_guard lock(mutex_);
  return conversation_;
}

bool Session::expired(double ttl) const {
  const std::lock_guard lock(mutex_);
  const bool preparing = running_ && !control_ && !cancelled_;
  return !follower_ && !preparing && clock_() - detached_since_ >= ttl;
}

bool Session::spent() const {
  const std::lock_guard lock(mutex_);
  return !running_ && turn_ > 0 && !conversation_->options.stateful && log_.delivered() == log_.last() &&
         (!conversation_->options.acks || log_.bytes() == 0);
}

bool Session::attached() const {
  const std::lock_guard lock(mutex_);
  return follower_ != nullptr;
}

// --- under the lock

void Session::append_event(std::string_view type, std::string_view members) {
  std::string event;
  event.reserve(type.size() + id.size() + members.size() + 64);
  event.append(R"({"type":")").append(type).append(R"(","session":")").append(id).append(R"(","seq":)");
  event.append(std::to_string(log_.last() + 1)).append(members).append("}");
  log_.append(std::move(event));
}

void Session::pump(std::shared_ptr<Follower>& gone) {
  if (follower_) {
    next_ = std::max(next_, log_.first());  // an acknowledgement may have come ahead of a replay
    while (next_ <= log_.last() && !waits_drained_) {
      if (follower_->backlog() >= kPauseBytes) {
        waits_drained_ = true;
        follower_->on_drained(kResumeBytes, [weak = weak_from_this(), follower = followers_] {
          const auto self = weak.lock();
          if (!self) return;
          std::shared_ptr<Follower> dropped;
          const std::lock_guard lock(self->mutex_);
          if (self->followers_ != follower || !self->follower_) return;
          self->waits_drained_ = false;
          self->pump(dropped);
        });
        break;
      }
      follower_->send(next_, log_.at(next_));
      log_.deliver(next_++);
    }
  }
  settled_ = !running_ && (!follower_ || next_ > log_.last());
  if (settled_ && follower_ && !follower_->idle()) gone = let_go();
  update_pause();
  account();
}

std::shared_ptr<Follower> Session::let_go() {
  waits_drained_ = false;
  detached_since_ = clock_();
  return std::exchange(follower_, nullptr);
}

void Session::update_pause() {
  const bool wanted = waits_drained_ || log_.full();
  if (!control_ || wanted == paused_) return;
  paused_ = wanted;
  control_->pause(wanted);
}

void Session::account() {
  const size_t bytes = kSessionBytes + log_.bytes() + conversation_bytes_;
  totals_->bytes += bytes - accounted_;  // may be less: unsigned arithmetic wraps back
  accounted_ = bytes;
}

}  // namespace quern::server
