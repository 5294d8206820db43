// The half of a connection that sends: flushing, refusing, ending an answer, ending the connection.
#include <utility>

#include "server/http/connection.h"

namespace quern::http {
namespace {

// In all, for the client to take the last answer and close.
constexpr double kLingerS = 10;

void call(const Outbox::Callbacks& callbacks) {
  for (const auto& callback : callbacks) callback();
}

}  // namespace

// --- writing
// -----------------------------------------------------------------------------------------------------------

bool Connection::flush() {
  while (!write_blocked_) {
    if (sent_ == sending_.size()) {
      sending_.clear();
      sent_ = 0;
      outbox_.take(sending_);
      if (sending_.empty()) break;
    }
    const Transport::Io io = transport_.write(std::string_view(sending_).substr(sent_));
    if (io.state == Transport::State::kWantWrite) {
      write_blocked_ = true;
      if (phase_ == Phase::kAnswer && deadline_ns == 0) set_deadline(core_->options.write_timeout_s);
      break;
    }
    if (io.state != Transport::State::kOk) {
      close(true);
      return false;
    }
    sent_ += io.bytes;
    if (phase_ == Phase::kAnswer) deadline_ns = 0;
    call(outbox_.sent(io.bytes));
  }
  call(outbox_.sent(0));
  return true;
}

void Connection::refuse(int status, std::string_view code, std::string_view message) {
  refuse(core_->error(status, code, message), false);
}

void Connection::refuse(Response response, bool keep_alive) {
  const bool known = reader_ != nullptr;
  const Outbox::Turn turn = outbox_.open({.http11 = !known || reader_->http11(),
                                          .keep_alive = keep_alive,
                                          .head = known && reader_->request().method == "HEAD"});
  phase_ = Phase::kAnswer;
  deadline_ns = 0;
  reader_.reset();
  if (!keep_alive) in_.clear();
  outbox_.respond(turn, std::move(response));
}

// Looks whether the answer is done with; false while it is not, or when the connection is closed.
bool Connection::finish_answer() {
  switch (outbox_.verdict()) {
    case Outbox::Verdict::kOpen:
      return false;
    case Outbox::Verdict::kOverflow:
      reset();
      return false;
    case Outbox::Verdict::kReset:
      reset();
      return false;
    case Outbox::Verdict::kCut:
      close(false);
      return false;
    case Outbox::Verdict::kNext:
    case Outbox::Verdict::kLast:
      break;
  }
  const bool last = outbox_.verdict() == Outbox::Verdict::kLast || core_->draining;
  if (std::exchange(exchange_open_, false)) core_->close_exchange();
  sending_ = {};  // idle connections have no buffers
  if (last) {
    linger();
    return true;
  }
  phase_ = Phase::kIdle;
  if (in_.empty()) in_ = {};
  set_deadline(core_->options.idle_timeout_s);
  return true;
}

void Connection::linger() {
  transport_.shutdown();
  phase_ = Phase::kLinger;
  in_ = {};
  linger_until_ns_ = deadline_in(kLingerS);
  set_deadline(kLingerIdleS);
}

void Connection::reset() {
  boost::system::error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  close(outbox_.verdict() == Outbox::Verdict::kOverflow);
}

void Connection::close(bool client_gone) {
  phase_ = Phase::kClosed;
  deadline_ns = 0;
  boost::system::error_code ignored;
  socket_.close(ignored);
  const Outbox::Callbacks gone = outbox_.close();
  reader_.reset();
  in_ = {};
  sending_ = {};
  if (place_) core_->registry.remove(*std::exchange(place_, {}));
  if (std::exchange(exchange_open_, false)) {
    if (client_gone) ++core_->client_gone;
    core_->close_exchange();
  }
  try {
    call(gone);
  } catch (...) {
    // A callback must not throw; there is nothing left to close.
  }
}

}  // namespace quern::http
