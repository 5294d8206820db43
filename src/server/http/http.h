// The server's network side: HTTP/1.0 and 1.1, WebSocket and TLS behind an interface of a page. It knows no models and
// no JSON but for its own error bodies. Source documents: RFC 9110 and 9112 (HTTP), RFC 6455 (WebSocket), RFC 8446
// (TLS).
//
// Threads: all members of all classes may be called from any thread. Handlers and callbacks run on the server's I/O
// threads, must not block, and must not destroy the Server. What concerns one connection runs on one strand: never two
// callbacks of a connection at a time. Errors of start() and reload_tls() say what, where, and what to do; afterwards
// nothing here fails loudly: a broken connection ends, and the counters say why.
//
// A client that went away is told from one that only closed its sending half, as `nc` does. The end of its bytes alone
// proves neither, so the server then sends early what the answer will begin with anyway: "HTTP/1.1 ", or a leading zero
// of the next chunk's size. Who is gone replies with a reset, and on_gone follows within a round trip; who still reads
// gets the whole answer, and the connection ends after it. Only a close-delimited stream (HTTP/1.0) has no such byte:
// there the next write tells. A reset counts at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quern::http {

using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

struct Request {
  std::string method;
  std::string target;  // as sent
  std::string path;    // percent-decoded, without the query; no control characters
  std::string query;   // as sent, without the '?'
  Headers headers;
  std::string body;
  std::string remote;  // the client's address, without the port
  bool tls = false;

  // The first header of that name; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view lower_name) const;
  // The first value of that name in the query, decoded ('+' is a space); nullopt when there is none.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
};

// An upgrade to WebSocket.
bool asks_for_websocket(const Request& request);

// Content-Length, Transfer-Encoding and Date are the server's own; a "connection: close" among the headers is heeded.
// Line breaks within a header's value become spaces.
struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  std::string content_type = "application/json";  // empty: none is sent
};

// One request and the way to answer it. Calls after the answer is complete, or after the client has gone, do nothing.
// Dropping the last reference unanswered answers 500, and within a stream it is abort(). After respond(), end() or
// abort() no callback is called any more, and those that are set are released.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  // So that a handler can move the body out; not while another thread reads request().
  virtual Request& mutable_request() = 0;
  // A whole answer, once.
  virtual void respond(Response response) = 0;
  // Or a stream: begin, write..., end. Chunked in HTTP/1.1, ended by closing the connection in 1.0.
  virtual void begin(int status, std::string content_type, Headers headers) = 0;
  // Never blocks: queued, and all that is queued goes out together. Over max_backlog_bytes the client counts as gone.
  virtual void write(std::string bytes) = 0;
  virtual void end() = 0;
  // Cuts the connection, so that the client does not take a part for the whole. What was written is still tried once.
  virtual void abort() = 0;
  // Calls f at most once, on an I/O thread: the client went away before the answer was complete (also a slow reader
  // that was cut, and the end of the Server). If it has already, f is called soon.
  virtual void on_gone(std::function<void()> f) = 0;
  // Bytes written, with their framing, that the socket has not taken yet.
  virtual size_t backlog() const = 0;
  // Calls f once, on an I/O thread, when the backlog is below that many bytes; never after the client has gone.
  virtual void on_drained(size_t below, std::function<void()> f) = 0;
  virtual bool gone() const = 0;
};

// An upgraded connection. Dropping the last reference closes it with code 1001.
// request().header("sec-websocket-protocol") is the subprotocol that was agreed on. Pings keep it alive and find a peer
// that is dead, by idle_timeout_s.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  virtual const Request& request() const = 0;
  // One text message; never blocks. Over max_backlog_bytes the connection is cut.
  virtual void send(std::string text) = 0;
  // After what was sent before. The reason is cut to the 123 bytes that the protocol has for it.
  virtual void close(uint16_t code, std::string reason) = 0;
  virtual size_t backlog() const = 0;
  virtual void on_drained(size_t below, std::function<void()> f) = 0;
  // Messages are read from here on; once, and within header_timeout_s of the upgrade. Callbacks on an I/O thread, one
  // at a time, on_closed exactly once and last (by this thread where the connection has ended already). Only text is
  // taken: a binary message closes with 1003, one over max_message_bytes with 1009.
  virtual void start(std::function<void(std::string text)> on_message, std::function<void()> on_closed) = 0;
  // Calls f once, on an I/O thread, when the server drains; whoever sets it closes the connection then, when it has
  // sent what it must. Without it the connection is closed at once. Before start().
  virtual void on_drain(std::function<void()> f) = 0;
};

struct Handlers {
  std::function<void(std::shared_ptr<Exchange>)> http;        // must be set
  std::function<void(std::shared_ptr<WebSocket>)> websocket;  // after the upgrade; empty: upgrades are not offered
  // Asked when the header has come, before the body is read, and before an upgrade: an answer refuses (401, 404, 413,
  // 429...) without reading the body. May be empty.
  std::function<std::optional<Response>(const Request&)> head;
  // Makes the errors of this layer; empty: error_response().
  std::function<Response(int status, std::string_view code, std::string_view message)> error;
};

// {"error":{"message":...,"type":...,"code":...}}; the type is invalid_request_error below 500, else server_error.
Response error_response(int status, std::string_view code, std::string_view message);

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address, "::" for all of IPv6 and IPv4, or a name
  uint16_t port = 8080;            // 0: any
  unsigned io_threads = 1;
  size_t max_body_bytes = size_t{32} << 20;
  size_t max_header_bytes = size_t{64} << 10;  // request line included
  size_t max_connections = 10000;              // more are answered 503
  size_t max_backlog_bytes = size_t{4} << 20;  // per connection, of a stream or WebSocket
  double header_timeout_s = 10;                // from a request's first byte to the end of its header; TLS handshake
  double body_timeout_s = 60;                  // for a body, and a second more for each 16 KiB of it that came
  double idle_timeout_s = 75;                  // between requests
  double write_timeout_s = 30;                 // without a byte taken
  std::string tls_certificate, tls_key;        // PEM files, the chain in the first; both empty: plain
  std::vector<std::string> websocket_protocols;
  size_t max_message_bytes = size_t{4} << 20;  // of a WebSocket message that is received
};

struct ServerStats {
  size_t connections = 0;     // open now, WebSockets included
  uint64_t accepted = 0;      // since start, those refused included
  uint64_t refused = 0;       // connections over a limit
  uint64_t requests = 0;      // whose header was well-formed
  uint64_t client_gone = 0;   // answers that were not taken to the end
  uint64_t bad_requests = 0;  // malformed, too large, TLS handshakes that failed
  uint64_t timeouts = 0;      // of header, body, handshake and writing
  size_t exchanges = 0;       // requests not answered to the last byte, and WebSockets, now
};

class Server {
 public:
  // Listens when it returns. kInvalidArgument: a wrong option, certificate or key; kNotFound: no such file or host;
  // kIo: the address cannot be listened on. Raises the soft limit of open files as far as max_connections needs and the
  // hard limit allows.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Handlers handlers);
  // Cuts what is left and joins the threads; no handler or callback runs afterwards. Exchanges that others still hold
  // stay valid and do nothing.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] ServerStats stats() const;

  // No new connections, and requests that come on open ones are answered 503. Connections end after their answer, idle
  // ones at once, WebSockets with code 1001 (but see WebSocket::on_drain). Cannot be undone.
  void drain();
  // Waits until no exchange and no WebSocket is open; false when the time is up first.
  bool wait_drained(double seconds);
  // Reads certificate and key again, for connections to come. On failure the old ones stay.
  Status reload_tls();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern::http
