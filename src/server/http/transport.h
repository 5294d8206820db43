// The bytes of a connection, plain or under TLS: non-blocking reads and writes on a socket that others own. One type
// for both, so that what stands above is compiled once.
//
// OpenSSL works on the descriptor itself: no pair of memory BIOs, whose buffers would cost some 70 KB a connection. Its
// writes raise SIGPIPE on a broken connection: the calling threads have it blocked. One thread at a time.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace quern::http {

class Transport {
 public:
  enum class State : uint8_t {
    kOk,
    kWantRead,   // nothing moved: try again when the socket can be read
    kWantWrite,  // ... written
    kEof,        // the peer sends no more
    kError,      // reset, or broken TLS: of no further use
  };
  struct Io {
    State state = State::kOk;
    size_t bytes = 0;  // over 0 with kOk
  };

  // With a context, TLS in the role of the server. ready() is false when OpenSSL refuses.
  Transport(int descriptor, SSL_CTX* context);
  [[nodiscard]] bool ready() const { return !wants_tls_ || ssl_ != nullptr; }
  [[nodiscard]] bool tls() const { return wants_tls_; }

  Io handshake();  // kOk when it is done
  Io read(std::span<char> into);
  Io write(std::string_view bytes);
  // Bytes may be had without the socket becoming readable.
  [[nodiscard]] bool pending() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }
  // No more will be written: close_notify, and the end of the stream.
  void shutdown();

 private:
  Io result(int returned);

  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  int descriptor_;
  bool wants_tls_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace quern::http
