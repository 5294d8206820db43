#include "server/http/websocket.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <deque>
#include <optional>

#include "server/http/target.h"
#include "server/http/ws_stream.h"

namespace quern::http {
namespace {

namespace ws = beast::websocket;

constexpr size_t kKeptBufferBytes = size_t{16} << 10;
constexpr size_t kMaxReasonBytes = 123;

// Owned by the registry and by its pending operations. What mutex_ guards is any thread's, the rest the strand's.
class Session final : public Peer, public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Upgrade upgrade)
      : core_(std::move(upgrade.core)),
        strand_(upgrade.socket.get_executor()),
        place_(upgrade.place),
        request_(std::move(upgrade.request)),
        stream_(WsStream(std::move(upgrade.socket), std::move(upgrade.transport), std::move(upgrade.received), core_,
                         deadline_ns)) {
    core_->open_exchange();
  }

  void accept();

  void drain() override {
    post([](Session& s) { s.call_drain(); });
  }
  void cut() override {
    post([](Session& s) { s.finish(); });
  }
  void expire() override {
    post([](Session& s) {
      const int64_t deadline = s.deadline_ns;
      if (deadline == 0 || deadline >= steady_ns()) return;
      ++s.core_->timeouts;
      s.client_gone();
    });
  }

  // Of the WebSocket.
  const Request& request() const { return request_; }
  void send(std::string text);
  void request_close(uint16_t code, std::string_view reason);
  size_t backlog() const;
  void on_drained(size_t below, std::function<void()> f);
  void start(std::function<void(std::string)> on_message, std::function<void()> on_closed);
  void on_drain(std::function<void()> f);

 private:
  struct Drained {
    size_t below;
    std::function<void()> f;
  };

  template <class F>
  void post(F f) {
    asio::post(strand_, [self = shared_from_this(), f] { self->guarded([&] { f(*self); }); });
  }
  template <class F>
  void guarded(F f) {
    try {
      f();
    } catch (...) {
      finish();  // a callback threw, or there is no memory
    }
  }
  std::string choose_protocol();
  void set_options(const std::string& protocol);
  void accepted(BeastError error);
  void read();
  void was_read(BeastError error);
  void write();
  void was_written(BeastError error, size_t bytes);
  void close_stream(const ws::close_reason& reason);
  void call_drained();
  void call_drain();
  void client_gone();
  void finish();

  const std::shared_ptr<Core> core_;
  const Executor strand_;
  const Registry::Place place_;
  Request request_;
  ws::stream<WsStream, false> stream_;
  beast::http::request<beast::http::empty_body> handshake_;
  beast::flat_buffer buffer_;
  std::string writing_text_;
  bool writing_ = false, closing_ = false, finished_ = false;

  mutable std::mutex mutex_;
  std::deque<std::string> queue_;
  size_t backlog_ = 0;
  bool overflowed_ = false, started_ = false;
  bool closed_ = false;  // for good: nothing is posted from here on
  std::optional<ws::close_reason> close_wanted_;
  std::vector<Drained> on_drained_;
  std::function<void(std::string)> on_message_;
  std::function<void()> on_closed_, on_drain_;
};

class SessionSocket final : public WebSocket {
 public:
  explicit SessionSocket(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  ~SessionSocket() override { session_->request_close(ws::close_code::going_away, "the session has ended"); }

  const Request& request() const override { return session_->request(); }
  void send(std::string text) override { session_->send(std::move(text)); }
  void close(uint16_t code, std::string reason) override { session_->request_close(code, reason); }
  size_t backlog() const override { return session_->backlog(); }
  void on_drained(size_t below, std::function<void()> f) override { session_->on_drained(below, std::move(f)); }
  void start(std::function<void(std::string)> on_message, std::function<void()> on_closed) override {
    session_->start(std::move(on_message), std::move(on_closed));
  }
  void on_drain(std::function<void()> f) override { session_->on_drain(std::move(f)); }

 private:
  const std::shared_ptr<Session> session_;
};

// --- the handshake
// -----------------------------------------------------------------------------------------------------

std::string Session::choose_protocol() {
  std::string_view offered = request_.header("sec-websocket-protocol");
  const auto& known = core_->options.websocket_protocols;
  while (const auto name = next_element(offered)) {
    if (std::find(known.begin(), known.end(), *name) != known.end()) return std::string(*name);
  }
  return {};
}

void Session::set_options(const std::string& protocol) {
  const auto duration = [](double seconds) {
    return std::chrono::duration_cast<ws::stream_base::duration>(std::chrono::duration<double>(seconds));
  };
  stream_.set_option(ws::stream_base::timeout{.handshake_timeout = duration(core_->options.header_timeout_s),
                                              .idle_timeout = duration(core_->options.idle_timeout_s),
                                              .keep_alive_pings = true});
  stream_.set_option(ws::stream_base::decorator([protocol](ws::response_type& response) {
    if (!protocol.empty()) response.set(beast::http::field::sec_websocket_protocol, protocol);
  }));
  stream_.read_message_max(core_->options.max_message_bytes);
  stream_.auto_fragment(false);
}

void Session::accept() {
  if (core_->registry.replace(place_, shared_from_this()) == Stage::kStopping) return finish();
  const std::string protocol = choose_protocol();
  set_options(protocol);
  handshake_.method(beast::http::verb::get);
  handshake_.target(request_.target);
  handshake_.version(11);
  for (const auto& [name, value] : request_.headers) handshake_.insert(name, value);
  std::erase_if(request_.headers, [](const auto& field) { return field.first == "sec-websocket-protocol"; });
  if (!protocol.empty()) request_.headers.emplace_back("sec-websocket-protocol", protocol);
  stream_.async_accept(
      handshake_, [self = shared_from_this()](BeastError error) { self->guarded([&] { self->accepted(error); }); });
}

void Session::accepted(BeastError error) {
  handshake_ = {};
  if (finished_) return;
  if (error) {
    ++core_->bad_requests;
    return finish();
  }
  // Until start() nothing would notice that the peer is gone.
  deadline_ns = deadline_in(core_->options.header_timeout_s);
  core_->handlers.websocket(std::make_shared<SessionSocket>(shared_from_this()));
  if (core_->draining) drain();
  write();
}

// --- the handler's side
// --------------------------------------------------------------------------------------------------

void Session::send(std::string text) {
  const std::lock_guard lock(mutex_);
  if (closed_ || close_wanted_ || overflowed_) return;
  backlog_ += text.size();
  queue_.push_back(std::move(text));
  overflowed_ = backlog_ > core_->options.max_backlog_bytes;
  if (overflowed_) {
    post([](Session& s) { s.client_gone(); });
  } else if (queue_.size() == 1) {
    post([](Session& s) { s.write(); });
  }
}

void Session::request_close(uint16_t code, std::string_view reason) {
  const std::lock_guard lock(mutex_);
  if (closed_ || close_wanted_) return;
  const beast::string_view cut(reason.data(), std::min(reason.size(), kMaxReasonBytes));
  close_wanted_.emplace(static_cast<ws::close_code>(code), cut);
  post([](Session& s) { s.write(); });
}

size_t Session::backlog() const {
  const std::lock_guard lock(mutex_);
  return backlog_;
}

void Session::on_drained(size_t below, std::function<void()> f) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  on_drained_.push_back({below, std::move(f)});
  if (backlog_ < below) post([](Session& s) { s.call_drained(); });
}

void Session::start(std::function<void(std::string)> on_message, std::function<void()> on_closed) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(started_, true)) return;
    if (!closed_) {
      on_message_ = std::move(on_message);
      on_closed_ = std::move(on_closed);
      return post([](Session& s) {
        s.deadline_ns = 0;
        s.read();
      });
    }
  }
  if (on_closed) on_closed();
}

void Session::on_drain(std::function<void()> f) {
  const std::lock_guard lock(mutex_);
  if (!closed_) on_drain_ = std::move(f);
}

// --- the strand
// --------------------------------------------------------------------------------------------------------

void Session::read() {
  if (finished_) return;
  stream_.async_read(buffer_, [self = shared_from_this()](BeastError error, size_t) {
    self->guarded([&] { self->was_read(error); });
  });
}

void Session::was_read(BeastError error) {
  if (finished_) return;
  if (error) {
    if (closing_) return;  // the close, which is under way, ends it
    if (error == ws::error::closed) return finish();
    if (error != ws::condition::protocol_violation && error != ws::error::message_too_big) return client_gone();
    ++core_->bad_requests;
    return finish();
  }
  if (!stream_.got_text()) {
    request_close(ws::close_code::unknown_data, "only text messages are understood");
  } else {
    std::string text(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    if (on_message_)
      on_message_(std::move(text));  // set before the first read, cleared by finish(): the strand's by now
  }
  buffer_.consume(buffer_.size());
  if (buffer_.capacity() > kKeptBufferBytes) buffer_.shrink_to_fit();
  read();
}

void Session::write() {
  if (finished_ || writing_ || closing_ || !stream_.is_open()) return;
  std::optional<ws::close_reason> reason;
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.empty()) {
      writing_text_ = std::move(queue_.front());
      queue_.pop_front();
    } else if (close_wanted_) {
      reason = close_wanted_;
    } else {
      return;
    }
  }
  if (reason) return close_stream(*reason);
  writing_ = true;
  stream_.text(true);
  stream_.async_write(asio::buffer(writing_text_), [self = shared_from_this()](BeastError error, size_t) {
    self->guarded([&] { self->was_written(error, self->writing_text_.size()); });
  });
}

void Session::was_written(BeastError error, size_t bytes) {
  writing_ = false;
  if (finished_) return;
  if (error) return client_gone();
  {
    const std::lock_guard lock(mutex_);
    backlog_ -= bytes;
  }
  writing_text_ = {};
  call_drained();
  write();
}

void Session::close_stream(const ws::close_reason& reason) {
  closing_ = true;
  stream_.async_close(reason, [self = shared_from_this()](BeastError) { self->finish(); });
}

void Session::call_drained() {
  std::vector<std::function<void()>> due;
  {
    const std::lock_guard lock(mutex_);
    for (Drained& drained : on_drained_) {
      if (backlog_ < drained.below) due.push_back(std::move(drained.f));
    }
    std::erase_if(on_drained_, [&](const Drained& drained) { return backlog_ < drained.below; });
  }
  for (const auto& f : due) f();
}

void Session::call_drain() {
  std::function<void()> f;
  {
    const std::lock_guard lock(mutex_);
    f.swap(on_drain_);
  }
  if (f) return f();
  request_close(ws::close_code::going_away, "the server is shutting down");
}

void Session::client_gone() {
  if (finished_) return;
  ++core_->client_gone;
  finish();
}

void Session::finish() {
  if (std::exchange(finished_, true)) return;
  deadline_ns = 0;
  stream_.next_layer().close();
  core_->registry.remove(place_);
  std::function<void(std::string)> on_message;
  std::function<void()> on_closed, on_drain;
  std::vector<Drained> on_drained;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    backlog_ = 0;
    queue_.clear();
    on_message.swap(on_message_);
    on_closed.swap(on_closed_);
    on_drain.swap(on_drain_);
    on_drained.swap(on_drained_);
  }
  try {
    if (on_closed) on_closed();
  } catch (...) {
    // A callback must not throw; there is nothing left to close.
  }
  core_->close_exchange();
}

}  // namespace

void start_websocket(Upgrade upgrade) {
  std::make_shared<Session>(std::move(upgrade))->accept();
}

}  // namespace quern::http
