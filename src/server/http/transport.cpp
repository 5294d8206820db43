#include "server/http/transport.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace quern::http {
namespace {

Transport::Io failed(Transport::State when_blocked) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {when_blocked, 0};
  return {Transport::State::kError, 0};
}

int clamp_int(size_t n) {
  return static_cast<int>(std::min(n, static_cast<size_t>(INT_MAX)));
}

}  // namespace

Transport::Transport(int descriptor, SSL_CTX* context) : descriptor_(descriptor), wants_tls_(context != nullptr) {
  if (!context) return;
  ssl_.reset(SSL_new(context));
  if (ssl_ && SSL_set_fd(ssl_.get(), descriptor) != 1) ssl_.reset();
  if (ssl_) SSL_set_accept_state(ssl_.get());
  ERR_clear_error();
}

Transport::Io Transport::result(int returned) {
  if (returned > 0) return {State::kOk, static_cast<size_t>(returned)};
  const int error = SSL_get_error(ssl_.get(), returned);
  ERR_clear_error();  // the queue is the thread's: what is left there would be read as another connection's
  switch (error) {
    case SSL_ERROR_WANT_READ:
      return {State::kWantRead, 0};
    case SSL_ERROR_WANT_WRITE:
      return {State::kWantWrite, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {State::kEof, 0};
    default:
      return {State::kError, 0};
  }
}

Transport::Io Transport::handshake() {
  return ssl_ ? result(SSL_do_handshake(ssl_.get())) : Io{State::kOk, 0};
}

Transport::Io Transport::read(std::span<char> into) {
  if (ssl_) return result(SSL_read(ssl_.get(), into.data(), clamp_int(into.size())));
  const ssize_t n = ::recv(descriptor_, into.data(), into.size(), 0);
  if (n < 0) return failed(State::kWantRead);
  return n == 0 ? Io{State::kEof, 0} : Io{State::kOk, static_cast<size_t>(n)};
}

Transport::Io Transport::write(std::string_view bytes) {
  if (ssl_) return result(SSL_write(ssl_.get(), bytes.data(), clamp_int(bytes.size())));
  const ssize_t n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0) return failed(State::kWantWrite);
  return {State::kOk, static_cast<size_t>(n)};
}

void Transport::shutdown() {
  if (ssl_) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(descriptor_, SHUT_WR);
}

}  // namespace quern::http
