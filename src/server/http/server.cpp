#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/detail/socket_option.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "server/http/connection.h"

namespace quern::http {
namespace {

using tcp = asio::ip::tcp;
using AsioError = boost::system::error_code;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

constexpr auto kAcceptPause = std::chrono::milliseconds(100);
// Connections over max_connections that are told so; beyond them connections are closed without a word.
constexpr size_t kRefusals = 256;
constexpr rlim_t kOtherFiles = 512;  // models, logs, the listener
constexpr unsigned kMaxIoThreads = 256;
// A dead host answers nothing: found after 30 + 3 * 10 seconds while a long answer is computed.
constexpr int kProbeIdleS = 30, kProbeEveryS = 10, kProbes = 3;

void raise_file_limit(size_t connections) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(static_cast<rlim_t>(connections) + kOtherFiles, limit.rlim_max);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // where it is refused, connections over the limit are: stats().refused
}

// Signals are for the program's own threads; SIGPIPE is what OpenSSL's writes raise.
void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  (void)pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Status check(const ServerOptions& options, const Handlers& handlers) {
  const auto bad = [](std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); };
  if (!handlers.http) return bad("the server has no handler for requests");
  if (options.io_threads == 0 || options.io_threads > kMaxIoThreads) {
    return bad(fmt::format("{} I/O threads: 1 to {} are possible", options.io_threads, kMaxIoThreads));
  }
  if (options.max_header_bytes < 256 || options.max_connections == 0) {
    return bad("the limits of header bytes (256 at least) and of connections (1 at least) leave no room for a request");
  }
  for (const double seconds :
       {options.header_timeout_s, options.body_timeout_s, options.idle_timeout_s, options.write_timeout_s}) {
    if (!(seconds > 0)) return bad("the server's timeouts must be above 0 seconds");
  }
  return {};
}

Result<tcp::endpoint> resolve(const ServerOptions& options, asio::io_context& io) {
  std::string host = options.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  AsioError error;
  const auto address = asio::ip::make_address(host, error);
  if (!error) return tcp::endpoint(address, options.port);
  const auto found = tcp::resolver(io).resolve(host, std::to_string(options.port), error);
  if (error || found.empty()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("{}: not an address or host of this machine: {}", options.host, error.message()));
  }
  const auto v4 =
      std::find_if(found.begin(), found.end(), [](const auto& entry) { return entry.endpoint().address().is_v4(); });
  return v4 == found.end() ? found.begin()->endpoint() : v4->endpoint();
}

Status cannot_listen(const ServerOptions& options, const AsioError& error) {
  const std::string where = fmt::format("{} port {}", options.host, options.port);
  std::string message = fmt::format("cannot listen on {}: {}", where, error.message());
  if (error == asio::error::address_in_use) {
    message = fmt::format("{} is in use by another program: stop it, or choose another port (--port)", where);
  } else if (error == asio::error::access_denied) {
    message =
        fmt::format("{} needs privileges that this program does not have: choose a port above 1023 (--port)", where);
  } else if (error == boost::system::errc::address_not_available) {
    message = fmt::format("{} is not an address of this machine: choose another (--host)", options.host);
  }
  return fail(ErrorCode::kIo, std::move(message));
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, Handlers handlers)
      : core_(std::make_shared<Core>(std::move(options), std::move(handlers))),
        strand_(asio::make_strand(core_->io)),
        acceptor_(strand_),
        sweep_timer_(strand_),
        pause_timer_(strand_) {}
  ~Impl();

  Status listen();
  void run();
  void drain();
  bool wait_drained(double seconds);
  Status reload_tls();
  uint16_t port() const { return port_; }
  ServerStats stats() const;

 private:
  void accept();
  void accepted(const AsioError& error, Socket socket, const tcp::endpoint& remote);
  void sweep();

  const std::shared_ptr<Core> core_;
  const Executor strand_;  // of what follows
  Acceptor acceptor_;
  Timer sweep_timer_, pause_timer_;
  bool stopping_ = false;
  std::chrono::nanoseconds sweep_every_{};
  uint16_t port_ = 0;
  std::vector<std::thread> threads_;
};

Status Server::Impl::listen() {
  const ServerOptions& options = core_->options;
  if (!options.tls_certificate.empty() || !options.tls_key.empty()) {
    if (auto ok = reload_tls(); !ok) return ok;
  }
  const auto endpoint = resolve(options, core_->io);
  if (!endpoint) return tl::unexpected(endpoint.error());
  AsioError error;
  acceptor_.open(endpoint->protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && endpoint->address().is_v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor_.bind(*endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot_listen(options, error);
  port_ = acceptor_.local_endpoint(error).port();
  raise_file_limit(options.max_connections);
  return {};
}

void Server::Impl::run() {
  const ServerOptions& options = core_->options;
  const double shortest =
      std::min({options.header_timeout_s, options.body_timeout_s, options.idle_timeout_s, options.write_timeout_s});
  sweep_every_ = std::chrono::nanoseconds(static_cast<int64_t>(std::clamp(shortest / 4, 0.005, 0.5) * 1e9));
  asio::post(strand_, [this] {
    accept();
    sweep();
  });
  for (unsigned i = 0; i < options.io_threads; ++i) {
    threads_.emplace_back([core = core_] {
      block_signals();
      for (bool running = true; running;) {
        try {
          core->io.run();
          running = false;
        } catch (...) {
          // Connections keep their own exceptions; what is left is a lack of memory, and the loop goes on.
        }
      }
    });
  }
}

Server::Impl::~Impl() {
  core_->draining = true;
  core_->registry.set_stage(Stage::kStopping);
  asio::post(strand_, [this] {
    stopping_ = true;
    AsioError ignored;
    acceptor_.close(ignored);
    sweep_timer_.cancel();
    pause_timer_.cancel();
    for (const auto& peer : core_->registry.all()) peer->cut();
  });
  for (std::thread& thread : threads_) thread.join();
}

void Server::Impl::accept() {
  if (!acceptor_.is_open()) return;
  auto remote = std::make_shared<tcp::endpoint>();
  acceptor_.async_accept(asio::make_strand(core_->io), *remote, [this, remote](AsioError error, Socket socket) {
    accepted(error, std::move(socket), *remote);
  });
}

void Server::Impl::accepted(const AsioError& error, Socket socket, const tcp::endpoint& remote) {
  if (!acceptor_.is_open()) return;
  if (error) {
    // Out of descriptors or memory: the next try would fail at once, again and again.
    ++core_->refused;
    pause_timer_.expires_after(kAcceptPause);
    pause_timer_.async_wait([this](AsioError) { accept(); });
    return;
  }
  ++core_->accepted;
  const size_t open = core_->registry.size();
  const bool refused = open >= core_->options.max_connections;
  if (refused) ++core_->refused;
  if (!refused || open < core_->options.max_connections + kRefusals) {
    AsioError ignored;
    socket.non_blocking(true, ignored);
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
#ifdef TCP_KEEPIDLE
    using asio::detail::socket_option::integer;
    socket.set_option(integer<IPPROTO_TCP, TCP_KEEPIDLE>(kProbeIdleS), ignored);
    socket.set_option(integer<IPPROTO_TCP, TCP_KEEPINTVL>(kProbeEveryS), ignored);
    socket.set_option(integer<IPPROTO_TCP, TCP_KEEPCNT>(kProbes), ignored);
#endif
    const auto strand = socket.get_executor();
    auto connection = std::make_shared<Connection>(core_, std::move(socket), remote.address().to_string());
    asio::post(strand, [connection, refused] { connection->start(refused); });
  }
  accept();
}

void Server::Impl::sweep() {
  if (stopping_) return;
  for (const auto& peer : core_->registry.expired(steady_ns())) peer->expire();
  sweep_timer_.expires_after(sweep_every_);
  sweep_timer_.async_wait([this](AsioError) { sweep(); });
}

void Server::Impl::drain() {
  core_->draining = true;
  core_->registry.set_stage(Stage::kDraining);
  asio::post(strand_, [this] {
    AsioError ignored;
    acceptor_.close(ignored);
    for (const auto& peer : core_->registry.all()) peer->drain();
  });
}

bool Server::Impl::wait_drained(double seconds) {
  std::unique_lock lock(core_->mutex);
  return core_->idle.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return core_->exchanges == 0; });
}

Status Server::Impl::reload_tls() {
  if (core_->options.tls_certificate.empty() && core_->options.tls_key.empty()) {
    return fail(ErrorCode::kInvalidArgument, "the server was started without TLS: there is no certificate to reload");
  }
  auto context = load_tls(core_->options.tls_certificate, core_->options.tls_key);
  if (!context) return tl::unexpected(context.error());
  core_->set_tls(std::move(*context));
  return {};
}

ServerStats Server::Impl::stats() const {
  ServerStats stats{.connections = core_->registry.size(),
                    .accepted = core_->accepted,
                    .refused = core_->refused,
                    .requests = core_->requests,
                    .client_gone = core_->client_gone,
                    .bad_requests = core_->bad_requests,
                    .timeouts = core_->timeouts};
  const std::lock_guard lock(core_->mutex);
  stats.exchanges = core_->exchanges;
  return stats;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handlers handlers) {
  if (auto ok = check(options, handlers); !ok) return tl::unexpected(ok.error());
  try {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(handlers));
    if (auto ok = impl->listen(); !ok) return tl::unexpected(ok.error());
    impl->run();
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kResource, fmt::format("the server cannot be started: {}", error.what()));
  }
}

uint16_t Server::port() const {
  return impl_->port();
}
ServerStats Server::stats() const {
  return impl_->stats();
}
void Server::drain() {
  impl_->drain();
}
bool Server::wait_drained(double seconds) {
  return impl_->wait_drained(seconds);
}
Status Server::reload_tls() {
  return impl_->reload_tls();
}

}  // namespace quern::http
