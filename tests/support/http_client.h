// A client of sockets for tests of the server: blocking, with a limit on every wait, and able to misbehave. One thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace quern::test {

struct HttpAnswer {
  int status = 0;  // 0: no answer came
  std::string head;
  std::string body;
  bool complete = false;  // the body ended as its framing says

  // The value of a header, whose name is given in lower case as the server sends it.
  [[nodiscard]] std::string header(std::string_view name) const {
    const size_t at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string::npos) return {};
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class HttpClient {
 public:
  static constexpr int kWaitMs = 10000;

  HttpClient() = default;
  explicit HttpClient(uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) close();
  }
  HttpClient(HttpClient&& other) noexcept { *this = std::move(other); }
  HttpClient& operator=(HttpClient&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(ssl_, other.ssl_);
    buffer_.swap(other.buffer_);
    return *this;
  }
  ~HttpClient() { close(); }

  [[nodiscard]] bool connected() const { return fd_ >= 0; }

  // From here on bytes go through TLS; false when the handshake fails.
  bool start_tls(SSL_CTX* context) {
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    return SSL_connect(ssl_) == 1;
  }
  [[nodiscard]] SSL* tls() const { return ssl_; }

  // False when the server has cut the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ssl_ ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                             : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void shutdown_sending() const { ::shutdown(fd_, SHUT_WR); }
  void reset() {  // closes with a reset
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (ssl_) SSL_free(ssl_);
    ssl_ = nullptr;
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  // What came, at least a byte; empty at the end, on a reset, and when nothing came for so long.
  std::string receive(int wait_ms = kWaitMs) {
    if (!buffer_.empty()) return std::exchange(buffer_, {});
    char bytes[16384];
    if (!ssl_ || !SSL_pending(ssl_)) {
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, wait_ms) <= 0) return {};
    }
    const ssize_t n = ssl_ ? SSL_read(ssl_, bytes, sizeof bytes) : ::recv(fd_, bytes, sizeof bytes, 0);
    return n > 0 ? std::string(bytes, static_cast<size_t>(n)) : std::string();
  }
  // Everything until the connection ends.
  std::string receive_all(int wait_ms = kWaitMs) {
    std::string all;
    for (std::string more = receive(wait_ms); !more.empty(); more = receive(wait_ms)) all += more;
    return all;
  }
  // Up to and with `mark`; all that came when it does not.
  std::string receive_to(std::string_view mark) {
    std::string all;
    size_t at = std::string::npos;
    while ((at = all.find(mark)) == std::string::npos) {
      const std::string more = receive();
      if (more.empty()) return all;
      all += more;
    }
    buffer_ = all.substr(at + mark.size());
    return all.substr(0, at + mark.size());
  }
  std::string receive_bytes(size_t size) {
    std::string all;
    while (all.size() < size) {
      const std::string more = receive();
      if (more.empty()) return all;
      all += more;
    }
    buffer_ = all.substr(size);
    return all.substr(0, size);
  }
  // The connection ends (in order or by a reset) and no byte comes before.
  bool ended(int wait_ms = kWaitMs) {
    pollfd ready{fd_, POLLIN, 0};
    return buffer_.empty() && ::poll(&ready, 1, wait_ms) > 0 && receive(0).empty();
  }

  // One answer. Interim answers (1xx) are passed over.
  HttpAnswer answer(bool to_head = false) {
    HttpAnswer answer;
    do {
      answer.head = receive_to("\r\n\r\n");
      if (!answer.head.starts_with("HTTP/1.1 ")) return answer;
      answer.status = std::atoi(answer.head.c_str() + 9);
    } while (answer.status < 200);
    const std::string length = answer.header("content-length");
    if (to_head || answer.status == 204 || answer.status == 304) {
      answer.complete = true;
    } else if (!length.empty()) {
      const size_t size = std::strtoul(length.c_str(), nullptr, 10);
      answer.body = receive_bytes(size);
      answer.complete = answer.body.size() == size;
    } else if (answer.header("transfer-encoding") == "chunked") {
      receive_chunks(answer);
    } else {
      answer.body = receive_all();
      answer.complete = true;
    }
    return answer;
  }
  HttpAnswer get(std::string_view target, std::string_view headers = "") {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n");
    return answer();
  }

 private:
  void receive_chunks(HttpAnswer& answer) {
    while (true) {
      const std::string line = receive_to("\r\n");
      if (!line.ends_with("\r\n")) return;
      const size_t size = std::strtoul(line.c_str(), nullptr, 16);
      const std::string chunk = receive_bytes(size + 2);
      if (chunk.size() != size + 2) return;
      answer.body += chunk.substr(0, size);
      if (size == 0) {
        answer.complete = true;
        return;
      }
    }
  }

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string buffer_;
};

}  // namespace quern::test
