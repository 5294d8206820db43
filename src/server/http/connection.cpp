#include "server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <vector>

#include "server/http/target.h"
#include "server/http/websocket.h"

namespace quern::http {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
// Of requests that come before the answer to the one ahead of them.
constexpr size_t kPipelineBytes = size_t{64} << 10;
constexpr double kBodyBytesPerSecond = 16 << 10;

// One a thread instead of one a connection.
std::span<char> read_buffer() {
  thread_local std::vector<char> buffer(kReadBytes);
  return buffer;
}

}  // namespace

bool asks_for_websocket(const Request& request) {
  return request.method == "GET" && list_has(request.header("connection"), "upgrade") &&
         list_has(request.header("upgrade"), "websocket");
}

Connection::Connection(std::shared_ptr<Core> core, Socket socket, std::string remote)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      strand_(socket_.get_executor()),
      transport_(socket_.native_handle(), core_->tls().get()),  // OpenSSL counts the context itself
      remote_(std::move(remote)),
      outbox_(
          {.handlers = &core_->handlers, .draining = &core_->draining, .max_backlog = core_->options.max_backlog_bytes},
          [this] {
            asio::post(strand_, [self = shared_from_this()] {
              self->outbox_.woken();
              self->enter([&] { self->advance(); });
            });
          }) {}

Connection::~Connection() = default;

template <class F>
void Connection::enter(F f) {
  if (phase_ == Phase::kClosed) return;
  try {
    f();
    if (phase_ != Phase::kClosed) arm();
  } catch (...) {
    if (phase_ != Phase::kClosed) close(false);
  }
}

void Connection::start(bool refused) {
  Registry::Place place;
  const Stage stage = core_->registry.add(shared_from_this(), place);
  place_ = place;
  enter([&] {
    if (stage != Stage::kServing || !transport_.ready() || (refused && transport_.tls())) return close(false);
    set_deadline(transport_.tls() ? core_->options.header_timeout_s : core_->options.idle_timeout_s);
    if (transport_.tls()) phase_ = Phase::kHandshake;
    if (refused)
      refuse(503, "too_many_connections", "the server has all the connections that it may have: try again later");
    advance();
  });
}

void Connection::drain() {
  asio::post(strand_, [self = shared_from_this()] {
    self->enter([&] {
      if (self->phase_ == Phase::kIdle || self->phase_ == Phase::kHandshake) self->close(false);
    });
  });
}

void Connection::cut() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->phase_ != Phase::kClosed) self->close(false);
  });
}

void Connection::expire() {
  asio::post(strand_, [self = shared_from_this()] {
    const int64_t deadline = self->deadline_ns;
    // What was waited for may have come in between.
    if (deadline != 0 && deadline < steady_ns()) self->enter([&] { self->on_deadline(); });
  });
}

void Connection::on_deadline() {
  if (phase_ == Phase::kIdle || phase_ == Phase::kLinger) return close(false);
  ++core_->timeouts;
  if (phase_ == Phase::kHead)
    refuse(408, "header_timeout", "the request's header did not come in time");
  else if (phase_ == Phase::kBody)
    refuse(408, "body_timeout", "the request's body did not come in time");
  else
    return close(true);
  advance();
}

bool Connection::wants_bytes() const {
  return !ended_ && (phase_ != Phase::kAnswer || in_.size() < kPipelineBytes);
}

void Connection::arm() {
  if (wants_bytes() && !read_armed_ && !read_needs_write_) {
    read_armed_ = true;
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](boost::system::error_code) {
      self->read_armed_ = false;
      self->enter([&] {
        self->read();
        self->advance();
      });
    });
  }
  if (!wants_bytes() && !error_armed_) {
    // Nothing more is read, so only this tells of a reset.
    error_armed_ = true;
    socket_.async_wait(Socket::wait_error, [self = shared_from_this()](boost::system::error_code) {
      self->error_armed_ = false;
      self->enter([&] { self->close(true); });
    });
  }
  if ((write_blocked_ || read_needs_write_) && !write_armed_) {
    write_armed_ = true;
    socket_.async_wait(Socket::wait_write, [self = shared_from_this()](boost::system::error_code) {
      self->write_armed_ = self->write_blocked_ = false;
      self->enter([&] {
        if (std::exchange(self->read_needs_write_, false)) self->read();
        self->advance();
      });
    });
  }
}

// --- reading
// -----------------------------------------------------------------------------------------------------------

void Connection::read() {
  const auto buffer = read_buffer();
  do {
    if (phase_ == Phase::kClosed || !wants_bytes()) return;
    const bool handshake = phase_ == Phase::kHandshake;
    const Transport::Io io = handshake ? transport_.handshake() : transport_.read(buffer);
    switch (io.state) {
      case Transport::State::kOk:
        if (!handshake) {
          take_bytes({buffer.data(), io.bytes});
        } else {
          phase_ = Phase::kIdle;
          set_deadline(core_->options.idle_timeout_s);
        }
        break;
      case Transport::State::kWantRead:
        return;
      case Transport::State::kWantWrite:
        read_needs_write_ = true;
        return;
      case Transport::State::kEof:
        return read_ended();
      case Transport::State::kError:
        if (handshake) ++core_->bad_requests;
        return close(true);
    }
  } while (transport_.pending());
}

void Connection::take_bytes(std::string_view bytes) {
  if (phase_ != Phase::kLinger) {
    in_ += bytes;
  } else {
    deadline_ns = std::min(deadline_in(kLingerIdleS), linger_until_ns_);
  }
}

void Connection::read_ended() {
  ended_ = true;
  // While an answer is due a half-closed client may still wait for it; otherwise advance() ends the connection.
  if (phase_ == Phase::kAnswer && exchange_open_) outbox_.probe();
}

void Connection::advance() {
  while (phase_ != Phase::kClosed) {
    if (!flush()) return;
    switch (phase_) {
      case Phase::kAnswer:
        if (!finish_answer()) return;
        break;
      case Phase::kIdle:
      case Phase::kHead:
      case Phase::kBody:
        if (parse()) break;
        if (ended_) return close(false);
        if (!transport_.pending()) return;
        read();
        break;
      case Phase::kHandshake:
      case Phase::kLinger:
        if (ended_) close(false);
        return;
      case Phase::kClosed:
        return;
    }
  }
}

bool Connection::parse() {
  if (phase_ == Phase::kIdle) {
    in_.erase(0, in_.find_first_not_of("\r\n"));  // RFC 9112, 2.2: empty lines before a request
    if (in_.empty()) return false;
    begin_request();
  }
  const RequestReader::Step step = reader_->feed(in_);
  in_.erase(0, step.consumed);
  switch (step.event) {
    case RequestReader::Event::kNeedMore:
      if (phase_ == Phase::kBody && step.consumed > 0) extend_body_deadline();
      return false;
    case RequestReader::Event::kHead:
      return finish_head();
    case RequestReader::Event::kComplete:
      dispatch();
      return true;
    case RequestReader::Event::kBad: {
      ++core_->bad_requests;
      const auto& error = reader_->error();
      refuse(error.status, error.code, error.message);
      return true;
    }
  }
  return false;
}

void Connection::begin_request() {
  phase_ = Phase::kHead;
  set_deadline(core_->options.header_timeout_s);
  reader_ = std::make_unique<RequestReader>(
      ReaderLimits{.header_bytes = core_->options.max_header_bytes, .body_bytes = core_->options.max_body_bytes});
}

bool Connection::finish_head() {
  Request& request = reader_->request();
  request.remote = remote_;
  request.tls = transport_.tls();
  ++core_->requests;
  if (core_->draining) {
    refuse(503, "shutting_down", "the server is shutting down");
    return true;
  }
  if (core_->handlers.head) {
    if (auto answer = core_->handlers.head(request)) {
      refuse(std::move(*answer), !reader_->has_body() && reader_->keep_alive());
      return true;
    }
  }
  if (core_->handlers.websocket && reader_->http11() && !reader_->has_body() && asks_for_websocket(request)) {
    upgrade();
    return true;
  }
  if (!reader_->has_body()) return true;
  phase_ = Phase::kBody;
  body_deadline_ns_ = deadline_in(core_->options.body_timeout_s);
  deadline_ns = body_deadline_ns_;
  const std::string_view expected = reader_->http11() ? request.header("expect") : std::string_view{};
  if (expected.empty()) return true;
  if (!equal_ignoring_case(expected, "100-continue")) {
    refuse(417, "expectation_failed", "the only expectation that is understood is 100-continue");
  } else if (in_.empty()) {
    outbox_.put_interim("HTTP/1.1 100 Continue\r\n\r\n");
  }
  return true;
}

void Connection::extend_body_deadline() {
  const double seconds = static_cast<double>(reader_->request().body.size()) / kBodyBytesPerSecond;
  deadline_ns = body_deadline_ns_ + static_cast<int64_t>(seconds * 1e9);
}

void Connection::dispatch() {
  phase_ = Phase::kAnswer;
  deadline_ns = 0;
  const Outbox::Turn turn = outbox_.open(
      {.http11 = reader_->http11(), .keep_alive = reader_->keep_alive(), .head = reader_->request().method == "HEAD"});
  auto exchange = make_exchange({shared_from_this(), &outbox_}, turn, std::move(reader_->request()));
  reader_.reset();
  exchange_open_ = true;
  core_->open_exchange();
  if (ended_) outbox_.probe();
  try {
    core_->handlers.http(std::move(exchange));
  } catch (...) {
    // A handler must not throw. Its exchange died with it, so the client has a 500.
  }
}

void Connection::upgrade() {
  Upgrade upgrade{.core = core_,
                  .socket = std::move(socket_),
                  .transport = std::move(transport_),
                  .request = std::move(reader_->request()),
                  .received = std::move(in_),
                  .place = *place_};
  place_.reset();
  phase_ = Phase::kClosed;
  deadline_ns = 0;
  reader_.reset();
  (void)outbox_.close();
  start_websocket(std::move(upgrade));
}

}  // namespace quern::http
