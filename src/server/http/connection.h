// A connection that speaks HTTP: reads requests, hands them over one at a time, sends their answers in order.
//
// Owned by the registry and by its own pending operations; a closed one also by the Exchanges that others still hold.
// All private members are the strand's. There are no per-connection buffers while nothing is under way: what is read
// goes through a buffer of the thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "server/http/core.h"
#include "server/http/outbox.h"
#include "server/http/request_reader.h"
#include "server/http/transport.h"

namespace quern::http {

// While it lingers: without a byte from the client.
inline constexpr double kLingerIdleS = 2;

class Connection final : public Peer, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Core> core, Socket socket, std::string remote);
  ~Connection() override;

  // Registers and begins. `refused`: answers 503 and ends.
  void start(bool refused);

  void drain() override;
  void cut() override;
  void expire() override;

 private:
  enum class Phase : uint8_t {
    kHandshake,  // of TLS
    kIdle,       // no byte of a request yet
    kHead,
    kBody,
    kAnswer,  // a handler has the request; what else the client sends waits
    kLinger,  // the last answer is sent; reads on so that a reset does not overtake it
    kClosed,
  };

  // Runs f and then arms what the phase waits for. An exception (of a handler, or of memory) closes the connection.
  template <class F>
  void enter(F f);
  void arm();
  bool wants_bytes() const;

  // Reading.
  void read();
  void take_bytes(std::string_view bytes);
  void read_ended();
  // Goes on as far as it can with what is read and queued.
  void advance();
  bool parse();  // false: more bytes are needed, or something was queued
  void begin_request();
  bool finish_head();
  void dispatch();
  void upgrade();
  void extend_body_deadline();

  // Writing.
  bool flush();  // false: the connection was closed
  void refuse(int status, std::string_view code, std::string_view message);
  void refuse(Response response, bool keep_alive);
  bool finish_answer();
  void linger();

  void on_deadline();
  void set_deadline(double seconds) { deadline_ns = deadline_in(seconds); }
  void close(bool client_gone);
  void reset();

  const std::shared_ptr<Core> core_;
  Socket socket_;
  const Executor strand_;  // socket_'s, which an upgrade moves away
  Transport transport_;
  const std::string remote_;
  std::optional<Registry::Place> place_;
  Phase phase_ = Phase::kIdle;
  bool read_armed_ = false, write_armed_ = false, error_armed_ = false;
  bool write_blocked_ = false;     // nothing can be written until the socket says so
  bool read_needs_write_ = false;  // TLS
  bool ended_ = false;             // the peer sends no more
  bool exchange_open_ = false;
  std::unique_ptr<RequestReader> reader_;
  std::string in_;       // read, not parsed
  std::string sending_;  // taken from the outbox
  size_t sent_ = 0;
  int64_t body_deadline_ns_ = 0;
  int64_t linger_until_ns_ = 0;
  Outbox outbox_;
};

}  // namespace quern::http
