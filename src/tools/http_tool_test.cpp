// Tools that are HTTP calls, against a server of this file on the loopback interface.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>

#include "quern/tool_registry.h"
#include "tools/http.h"

namespace quern {
namespace {

using testing::HasSubstr;

// One connection after the other; each request's text is kept, and `answer` gives what is sent back.
class TestServer {
 public:
  explicit TestServer(std::function<std::string(const std::string& request)> answer) : answer_(std::move(answer)) {
    ::unsetenv("http_proxy");
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TestServer() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int one = ::accept(socket_, nullptr, nullptr); one >= 0; one = ::accept(socket_, nullptr, nullptr)) {
      const std::string request = read_request(one);
      const std::string reply = answer_(request);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      for (size_t done = 0; done < reply.size();) {
        const ssize_t n = ::send(one, reply.data() + done, reply.size() - done, MSG_NOSIGNAL);
        if (n <= 0) break;
        done += static_cast<size_t>(n);
      }
      if (reply.empty()) {  // silent until the client leaves
        char byte = 0;
        while (::recv(one, &byte, 1, 0) > 0) {
        }
      }
      ::close(one);
    }
  }

  static std::string read_request(int from) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const size_t head = text.find("\r\n\r\n");
      const size_t length = text.find("Content-Length: ");
      const size_t body = length == std::string::npos ? 0 : std::strtoul(text.c_str() + length + 16, nullptr, 10);
      if (head != std::string::npos && text.size() >= head + 4 + body) return text;
      const ssize_t n = ::recv(from, buffer, sizeof buffer, 0);
      if (n <= 0) return text;
      text.append(buffer, static_cast<size_t>(n));
    }
  }

  std::function<std::string(const std::string&)> answer_;
  int socket_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string ok(const std::string& body) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", body.size(), body);
}

std::string moved(const std::string& to) {
  return fmt::format("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", to);
}

ToolOutput call(const std::string& tool, const std::string& arguments, std::string* shown = nullptr) {
  const auto tools = ToolRegistry::parse("t.yaml", "tools:\n  t: {description: d, " + tool + "}\n");
  EXPECT_TRUE(tools) << tools.error().message;
  if (!tools) return {};
  const auto plan = tools->prepare("t", arguments);
  if (!plan) return {.text = plan.error().message};
  if (shown != nullptr) *shown = plan->shown();
  return plan->run();
}

constexpr const char* kText = "arguments: {q: {type: string}, n: {type: integer, optional: true}}";

TEST(HttpTool, PutsValuesWhereTheyCannotBreakOut) {
  TestServer server([](const std::string&) { return ok("fine"); });
  std::string shown;
  const ToolOutput output = call(fmt::format("http: '{}/v1/{{q}}?n={{n}}', {}", server.url(), kText),
                                 R"({"q": "a/../b?x=1&y#z\r\nX: 1 é", "n": 5})", &shown);
  EXPECT_EQ(output.text, "fine");
  EXPECT_EQ(output.http_status, 200);
  const std::string path = "/v1/a%2F..%2Fb%3Fx%3D1%26y%23z%0D%0AX%3A%201%20%C3%A9?n=5";
  EXPECT_EQ(shown, "GET " + server.url() + path);
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_THAT(server.requests()[0], testing::StartsWith("GET " + path + " HTTP/1.1\r\n"));
  for (const char* dots : {".", ".."}) {
    const std::string arguments = fmt::format(R"({{"q": "{}"}})", dots);
    EXPECT_THAT(call(fmt::format("http: '{}/v1/{{q}}/?n={{n}}', {}", server.url(), kText), arguments).text,
                HasSubstr("must not make '.' or '..'"));
  }
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(HttpTool, SendsHeadersAndABody) {
  TestServer server([](const std::string&) { return ok("{}"); });
  std::string shown;
  call(fmt::format("http: {{method: POST, url: '{}/{{n}}', headers: {{X-Key: secret}}}}, {}", server.url(), kText),
       R"({"q": "a\"b", "n": 7})", &shown);
  const std::string request = server.requests().at(0);
  EXPECT_THAT(request, testing::StartsWith("POST /7 HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Key: secret\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(request, testing::EndsWith("\r\n\r\n{\"q\":\"a\\\"b\"}"));
  EXPECT_EQ(shown, fmt::format("POST {}/7 with the body '{{\"q\":\"a\\\"b\"}}'", server.url()));
}

TEST(HttpTool, FollowsFewRedirectsAndKeepsHeadersAtHome) {
  TestServer other([](const std::string&) { return ok("there"); });
  TestServer server([&](const std::string& request) {
    if (request.starts_with("GET /loop")) return moved("/loop");
    if (request.starts_with("GET /file")) return moved("file:///etc/passwd");
    if (request.starts_with("GET /near")) return moved("/end");
    return request.starts_with("GET /end") ? ok("end") : moved(other.url() + "/far");
  });
  const auto get = [&](const char* path) {
    return call(fmt::format("http: {{url: '{}{}', headers: {{X-Key: secret}}}}", server.url(), path), "{}");
  };
  EXPECT_EQ(get("/far").text, "there");
  EXPECT_EQ(other.requests().at(0).find("secret"), std::string::npos);
  EXPECT_EQ(get("/near").text, "end");
  EXPECT_THAT(server.requests().back(), HasSubstr("X-Key: secret"));
  EXPECT_THAT(get("/loop").text, HasSubstr("more than 5 redirects"));
  EXPECT_THAT(get("/file").text, HasSubstr("not an http or https address"));
  const ToolOutput post = call(fmt::format("http: {{method: POST, url: '{}/far'}}", server.url()), "{}");
  EXPECT_EQ(post.http_status, 302);
}

TEST(HttpTool, BoundsTimeAndSizeAndTellsTheStatus) {
  TestServer server([](const std::string& request) -> std::string {
    if (request.starts_with("GET /slow")) return "";
    if (request.starts_with("GET /long")) return ok(std::string(100'000, 'x'));
    return "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone";
  });
  const auto get = [&](const char* path) {
    return call(fmt::format("http: '{}{}', timeout: 300ms, output_limit: 1000", server.url(), path), "{}");
  };
  const ToolOutput slow = get("/slow");
  EXPECT_TRUE(slow.timed_out);
  EXPECT_FALSE(slow.ok);
  EXPECT_THAT(slow.text, HasSubstr("was not done after 0.3 s"));
  const ToolOutput longer = get("/long");
  EXPECT_TRUE(longer.ok);
  EXPECT_TRUE(longer.cut);
  EXPECT_THAT(longer.text, HasSubstr("x\n[cut: these are the first 1000 bytes of at least "));
  const ToolOutput absent = get("/absent");
  EXPECT_EQ(absent.http_status, 404);
  EXPECT_FALSE(absent.ok);
  EXPECT_EQ(absent.text, "HTTP status 404\nnone");
}

TEST(HttpTool, SaysThatNobodyListens) {
  std::string url;
  {
    TestServer server([](const std::string&) { return ok(""); });
    url = server.url();
  }
  const ToolOutput output = call("http: '" + url + "/'", "{}");
  EXPECT_FALSE(output.ok);
  EXPECT_THAT(output.text, HasSubstr(url));
}

}  // namespace
}  // namespace quern
