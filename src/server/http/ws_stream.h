// Our transport as what Beast calls an AsyncStream. Includes Asio and Beast: for websocket.cpp alone. Of one strand.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>
#include <memory>
#include <string>
#include <utility>

#include "server/http/core.h"
#include "server/http/transport.h"

namespace quern::http {

namespace beast = boost::beast;
using BeastError = beast::error_code;

// Completions are never called from within the call that began them.
class WsStream {
 public:
  using executor_type = Executor;

  WsStream(Socket socket, Transport transport, std::string received, const std::shared_ptr<Core>& core,
           std::atomic<int64_t>& deadline_ns)
      : socket_(std::move(socket)),
        transport_(std::move(transport)),
        received_(std::move(received)),
        write_timeout_s_(core->options.write_timeout_s),
        deadline_ns_(&deadline_ns) {}

  executor_type get_executor() { return socket_.get_executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(BeastError, size_t)>(
        Operation([this, buffers] { return read(buffers); }, this), token, socket_);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(BeastError, size_t)>(
        Operation([this, buffers] { return write(buffers); }, this), token, socket_);
  }

  void close() {
    BeastError ignored;
    socket_.close(ignored);
  }
  // Beast finds these by their arguments: how the stream ends, gently or on a timeout.
  friend void beast_close_socket(WsStream& stream) { stream.close(); }
  friend void teardown(beast::role_type, WsStream& stream, BeastError& error) {
    stream.transport_.shutdown();
    error = {};
  }
  template <class Handler>
  friend void async_teardown(beast::role_type, WsStream& stream, Handler&& handler) {
    stream.transport_.shutdown();
    asio::post(stream.get_executor(), [h = std::forward<Handler>(handler)]() mutable { h(BeastError{}); });
  }

 private:
  static constexpr size_t kGatherBytes = size_t{64} << 10;

  // Tries, waits while the socket is not ready, and completes.
  template <class Attempt>
  struct Operation {
    Operation(Attempt the_attempt, WsStream* the_stream) : attempt(std::move(the_attempt)), stream(the_stream) {}

    template <class Self>
    void operator()(Self& self, BeastError error = {}) {
      const bool first = !std::exchange(begun, true);
      if (!done && !error) {
        io = attempt();
        if (io.state == Transport::State::kWantRead) {
          return stream->socket_.async_wait(Socket::wait_read, std::move(self));
        }
        if (io.state == Transport::State::kWantWrite) {
          return stream->socket_.async_wait(Socket::wait_write, std::move(self));
        }
        done = true;
        if (first) return asio::post(stream->get_executor(), std::move(self));
      }
      if (!error && io.state == Transport::State::kEof) error = asio::error::eof;
      if (!error && io.state == Transport::State::kError) error = asio::error::connection_reset;
      self.complete(error, error ? 0 : io.bytes);
    }

    Attempt attempt;
    WsStream* stream;
    Transport::Io io;
    bool begun = false, done = false;
  };

  template <class Buffers>
  Transport::Io read(const Buffers& buffers) {
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      const asio::mutable_buffer buffer = *it;
      if (buffer.size() == 0) continue;
      auto* const out = static_cast<char*>(buffer.data());
      if (received_.empty()) return transport_.read({out, buffer.size()});
      const size_t n = received_.copy(out, buffer.size());
      received_.erase(0, n);
      return {Transport::State::kOk, n};
    }
    return {};
  }

  // A frame's header and payload in one call of the system.
  template <class Buffers>
  Transport::Io write(const Buffers& buffers) {
    gathered_.clear();
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      const asio::const_buffer buffer = *it;
      gathered_.append(static_cast<const char*>(buffer.data()),
                       std::min(buffer.size(), kGatherBytes - gathered_.size()));
    }
    if (gathered_.empty()) return {};
    const Transport::Io io = transport_.write(gathered_);
    if (io.state == Transport::State::kOk) {
      *deadline_ns_ = 0;
    } else if (*deadline_ns_ == 0) {
      *deadline_ns_ = deadline_in(write_timeout_s_);
    }
    if (io.state != Transport::State::kWantWrite) gathered_ = {};
    return io;
  }

  Socket socket_;
  Transport transport_;
  std::string received_;
  std::string gathered_;
  double write_timeout_s_;
  std::atomic<int64_t>* deadline_ns_;
};

}  // namespace quern::http
