// What the connections of a server share, and the list of them. Includes Asio: for this folder's .cpp files alone.
//
// Core outlives its Server while an Exchange that somebody holds keeps a closed connection. Nothing runs then: a
// connection that is open has an operation outstanding, so the threads leave run() only when all are closed.
#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "server/http/http.h"
#include "server/http/tls.h"

namespace quern::http {

namespace asio = boost::asio;
using Executor = asio::strand<asio::io_context::executor_type>;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

int64_t steady_ns();
int64_t deadline_in(double seconds);  // steady_ns() that much later

// A connection as the server sees it. Any thread may call; each call posts to the strand.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void drain() = 0;
  virtual void cut() = 0;
  virtual void expire() = 0;  // the deadline has passed
  // steady_ns() by which the peer must have done what it is waited for; 0: nothing. The server looks from time to time:
  // no timer a connection.
  std::atomic<int64_t> deadline_ns{0};
};

enum class Stage : uint8_t { kServing, kDraining, kStopping };

// The open peers. Owns them.
class Registry {
 public:
  using Place = std::list<std::shared_ptr<Peer>>::iterator;
  // A peer that comes as the stage changes is told of the change either by all() or by what these return.
  Stage add(const std::shared_ptr<Peer>& peer, Place& place);
  Stage replace(Place place, const std::shared_ptr<Peer>& peer);
  void remove(Place place);
  void set_stage(Stage stage);
  [[nodiscard]] size_t size() const;
  [[nodiscard]] std::vector<std::shared_ptr<Peer>> all() const;
  [[nodiscard]] std::vector<std::shared_ptr<Peer>> expired(int64_t now_ns) const;

 private:
  mutable std::mutex mutex_;
  Stage stage_ = Stage::kServing;
  std::list<std::shared_ptr<Peer>> peers_;
};

struct Core {
  Core(ServerOptions the_options, Handlers the_handlers)
      : options(std::move(the_options)), handlers(std::move(the_handlers)), io(static_cast<int>(options.io_threads)) {}

  [[nodiscard]] Response error(int status, std::string_view code, std::string_view message) const;
  void open_exchange();
  void close_exchange();
  [[nodiscard]] TlsContext tls() const;
  void set_tls(TlsContext context);

  const ServerOptions options;
  const Handlers handlers;
  asio::io_context io;
  Registry registry;
  std::atomic<bool> draining{false};
  std::atomic<uint64_t> accepted{0}, refused{0}, requests{0}, client_gone{0}, bad_requests{0}, timeouts{0};

  mutable std::mutex mutex;  // of what follows
  std::condition_variable idle;
  size_t exchanges = 0;
  TlsContext tls_context;
};

}  // namespace quern::http
