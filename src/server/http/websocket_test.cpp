#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/http_fixture.h"

namespace quern::http {
namespace {

enum Opcode : uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct Frame {
  int opcode = -1;  // -1: none came
  std::string payload;
  [[nodiscard]] int close_code() const {
    return payload.size() < 2 ? 0 : static_cast<uint8_t>(payload[0]) * 256 + static_cast<uint8_t>(payload[1]);
  }
};

// The client's half of RFC 6455, as much as the tests need.
class WsClient {
 public:
  explicit WsClient(HttpClient http) : http_(std::move(http)) {}

  HttpAnswer upgrade(std::string_view headers = "") {
    http_.send(
        "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        std::string(headers) + "\r\n");
    HttpAnswer answer;
    answer.head = http_.receive_to("\r\n\r\n");
    answer.status = answer.head.size() > 12 ? std::atoi(answer.head.c_str() + 9) : 0;
    return answer;
  }
  void send(Opcode opcode, const std::string& payload) { http_.send(frame(opcode, payload)); }
  static std::string frame(Opcode opcode, const std::string& payload) {
    std::string out = {static_cast<char>(0x80 | opcode)};
    if (payload.size() < 126) {
      out += static_cast<char>(0x80 | payload.size());
    } else {
      const bool wide = payload.size() > 0xffff;
      out += static_cast<char>(0x80 | (wide ? 127 : 126));
      for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
    }
    const char mask[4] = {1, 2, 3, 4};
    out.append(mask, 4);
    for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
    return out;
  }
  Frame receive() {
    const std::string head = http_.receive_bytes(2);
    if (head.size() < 2) return {};
    uint64_t size = static_cast<uint8_t>(head[1]);
    if (size >= 126) {
      const std::string bytes = http_.receive_bytes(size == 126 ? 2 : 8);
      size = 0;
      for (const char c : bytes) size = size << 8 | static_cast<uint8_t>(c);
    }
    return {head[0] & 15, http_.receive_bytes(size)};
  }
  HttpClient& http() { return http_; }

 private:
  HttpClient http_;
};

class WebSocketTest : public HttpTest {
 protected:
  using SocketHandler = std::function<void(std::shared_ptr<WebSocket>)>;

  void serve_sockets(SocketHandler handler, ServerOptions options = {}, Handlers others = {}) {
    others.websocket = [this, handler = std::move(handler)](std::shared_ptr<WebSocket> socket) {
      {
        const std::lock_guard lock(sockets_mutex_);
        sockets_.push_back(socket);
      }
      handler(std::move(socket));
    };
    serve([](std::shared_ptr<Exchange> exchange) { exchange->respond({.status = 404, .body = "none"}); },
          std::move(options), std::move(others));
  }
  // Sends back what comes; the socket lives as long as its callbacks.
  void serve_echo(ServerOptions options = {}) {
    serve_sockets(
        [this](std::shared_ptr<WebSocket> socket) {
          socket->start([socket](std::string text) { socket->send(std::move(text)); }, [this] { ++closed_; });
        },
        std::move(options));
  }
  void TearDown() override {
    HttpTest::TearDown();
    for (const auto& socket : sockets_) EXPECT_TRUE(socket.expired());
  }
  WsClient ws_client(int receive_buffer = 0) { return WsClient(client(receive_buffer)); }

  std::atomic<int> closed_ = 0;

 private:
  std::mutex sockets_mutex_;
  std::vector<std::weak_ptr<WebSocket>> sockets_;
};

TEST_F(WebSocketTest, CarriesMessagesBothWays) {
  serve_echo();
  WsClient c = ws_client();
  const HttpAnswer a = c.upgrade();
  EXPECT_EQ(a.status, 101);
  EXPECT_EQ(a.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  for (const std::string& text : {std::string("hello"), std::string(300'000, 'x'), std::string()}) {
    c.send(kText, text);
    const Frame frame = c.receive();
    EXPECT_EQ(frame.opcode, kText);
    EXPECT_EQ(frame.payload, text);
  }
  c.send(kPing, "p");
  EXPECT_EQ(c.receive().opcode, kPong);
  c.send(kClose, std::string("\x03\xe8", 2));
  EXPECT_EQ(c.receive().close_code(), 1000);
  EXPECT_TRUE(eventually([&] { return closed_ == 1; }));
}

TEST_F(WebSocketTest, TakesMessagesThatFollowTheRequestAtOnce) {
  serve_echo();
  WsClient c = ws_client();
  c.http().send(
      "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
      WsClient::frame(kText, "early"));
  c.http().receive_to("\r\n\r\n");
  EXPECT_EQ(c.receive().payload, "early");
}

TEST_F(WebSocketTest, AgreesOnAProtocol) {
  std::mutex mutex;
  std::string agreed = "none yet";
  serve_sockets(
      [&](std::shared_ptr<WebSocket> socket) {
        const std::lock_guard lock(mutex);
        agreed = socket->request().header("sec-websocket-protocol");
      },
      {.websocket_protocols = {"b", "c"}});
  WsClient c = ws_client();
  EXPECT_EQ(c.upgrade("Sec-WebSocket-Protocol: a, c, b\r\n").header("Sec-WebSocket-Protocol"), "c");
  EXPECT_EQ(c.receive().close_code(), 1001);  // the handler dropped it
  const std::lock_guard lock(mutex);
  EXPECT_EQ(agreed, "c");
}

TEST_F(WebSocketTest, IsRefusedLikeARequest) {
  Handlers handlers;
  handlers.head = [](const Request& request) -> std::optional<Response> {
    if (request.header("authorization").empty()) return Response{.status = 401};
    return std::nullopt;
  };
  serve_sockets([](std::shared_ptr<WebSocket>) {}, {}, std::move(handlers));
  EXPECT_EQ(ws_client().upgrade().status, 401);
  WsClient old = ws_client();
  old.http().send(
      "GET / HTTP/1.1\r\nHost: t\r\nAuthorization: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  EXPECT_TRUE(old.http().receive_to("\r\n").starts_with("HTTP/1.1 426 "));
  EXPECT_EQ(client().get("/", "Authorization: x\r\n").status, 404);
}

TEST_F(WebSocketTest, RefusesMessagesThatItCannotTake) {
  serve_echo({.max_message_bytes = 1000});
  const std::tuple<Opcode, std::string, int> cases[] = {
      {kBinary, "b", 1003}, {kText, std::string(1001, 'x'), 1009}, {kText, "\xff", 1007}};
  for (const auto& [opcode, payload, code] : cases) {
    WsClient c = ws_client();
    ASSERT_EQ(c.upgrade().status, 101);
    c.send(opcode, payload);
    EXPECT_EQ(c.receive().close_code(), code);
    if (code == 1003) c.send(kClose, std::string("\x03\xeb", 2));
  }
  EXPECT_TRUE(eventually([&] { return closed_ == 3; }));
}

TEST_F(WebSocketTest, ClosesWithACodeAfterWhatWasSent) {
  serve_sockets([](std::shared_ptr<WebSocket> socket) {
    socket->start([](std::string) {}, [socket] {});
    socket->send("last words");
    socket->close(4001, std::string(500, 'r'));
    socket->send("too late");
  });
  WsClient c = ws_client();
  c.upgrade();
  EXPECT_EQ(c.receive().payload, "last words");
  const Frame frame = c.receive();
  EXPECT_EQ(frame.close_code(), 4001);
  EXPECT_EQ(frame.payload.size(), 125u);
  c.send(kClose, frame.payload);
  EXPECT_TRUE(c.http().ended());
}

TEST_F(WebSocketTest, IsClosedByADrain) {
  serve_echo();
  WsClient polite = ws_client(), dead = ws_client();
  polite.upgrade();
  dead.upgrade();
  server_->drain();
  const Frame frame = polite.receive();
  EXPECT_EQ(frame.close_code(), 1001);
  polite.send(kClose, frame.payload);
  dead.http().reset();
  EXPECT_TRUE(server_->wait_drained(10));
  EXPECT_EQ(closed_, 2);
}

TEST_F(WebSocketTest, IsCutWhenThePeerDiesOrIsSilent) {
  serve_echo({.idle_timeout_s = 0.4});
  WsClient dies = ws_client(), silent = ws_client();
  dies.upgrade();
  silent.upgrade();
  dies.http().reset();
  EXPECT_TRUE(eventually([&] { return closed_ == 2; }));
  EXPECT_EQ(silent.receive().opcode, kPing);
  EXPECT_EQ(stats().client_gone, 2u);
}

TEST_F(WebSocketTest, IsCutWhenItsReaderIsSlow) {
  std::atomic<int> drained = 0;
  serve_sockets(
      [&](std::shared_ptr<WebSocket> socket) {
        socket->on_drained(1, [&] { ++drained; });
        socket->start([](std::string) {}, [this, socket] { ++closed_; });
        for (int i = 0; i < 200; ++i) socket->send(std::string(100'000, 'x'));
      },
      {.max_backlog_bytes = 1'000'000});
  WsClient c = ws_client(4096);
  c.upgrade();
  EXPECT_TRUE(eventually([&] { return closed_ == 1; }));
}

TEST_F(WebSocketTest, SendsFromOtherThreadsInOrder) {
  std::mutex mutex;
  std::shared_ptr<WebSocket> socket;
  serve_sockets([&](std::shared_ptr<WebSocket> given) {
    given->start([](std::string) {}, [] {});
    const std::lock_guard lock(mutex);
    socket = std::move(given);
  });
  WsClient c = ws_client();
  c.upgrade();
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return socket != nullptr;
  }));
  std::thread writer([&] {
    for (int i = 0; i < 500; ++i) socket->send(std::to_string(i));
  });
  for (int i = 0; i < 500; ++i) ASSERT_EQ(c.receive().payload, std::to_string(i));
  writer.join();
  EXPECT_TRUE(eventually([&] { return socket->backlog() == 0; }));
  const std::lock_guard lock(mutex);
  socket.reset();
}

TEST_F(WebSocketTest, ThatIsNeverStartedIsCut) {
  std::vector<std::shared_ptr<WebSocket>> kept;
  serve_sockets([&](std::shared_ptr<WebSocket> socket) { kept.push_back(std::move(socket)); },
                {.header_timeout_s = 0.05});
  WsClient c = ws_client();
  c.upgrade();
  EXPECT_TRUE(c.http().ended());
  ASSERT_TRUE(eventually([&] { return stats().connections == 0; }));
  kept.front()->start([](std::string) {}, [&] { ++closed_; });
  EXPECT_EQ(closed_, 1);
  kept.clear();
}

}  // namespace
}  // namespace quern::http
