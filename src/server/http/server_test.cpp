// What a well-behaved client sees.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>

#include "tests/support/http_fixture.h"

namespace quern::http {
namespace {

using ServerTest = HttpTest;

TEST_F(ServerTest, AnswersOneRequestAfterAnotherOnAConnection) {
  serve([](std::shared_ptr<Exchange> exchange) {
    const Request& r = exchange->request();
    exchange->respond({.status = 201,
                       .headers = {{"x-id", "7"}},
                       .body = r.method + " " + r.path + " " + r.query_value("q").value_or("-") + " " +
                               std::string(r.header("x-a")) + " " + r.remote,
                       .content_type = "text/plain"});
  });
  HttpClient c = client();
  for (int i = 0; i < 3; ++i) {
    const HttpAnswer a = c.get("/a%20b?q=1", "X-A: v\r\n");
    EXPECT_EQ(a.status, 201);
    EXPECT_EQ(a.body, "GET /a b 1 v 127.0.0.1");
    EXPECT_EQ(a.header("content-type"), "text/plain");
    EXPECT_EQ(a.header("x-id"), "7");
    EXPECT_EQ(a.header("connection"), "");
    EXPECT_FALSE(a.header("date").empty());
  }
  EXPECT_EQ(stats().accepted, 1u);
  EXPECT_EQ(stats().requests, 3u);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  serve_kept();
  HttpClient c = client();
  c.send(
      "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nPOST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"
      "GET /3 HTTP/1.1\r\nHost: t\r\n\r\n");
  for (const char* path : {"/1", "/2", "/3"}) {
    const auto exchange = take_kept();
    ASSERT_TRUE(exchange);
    EXPECT_EQ(exchange->request().path, path);
    EXPECT_FALSE(exchange->gone());
    exchange->respond({.body = exchange->request().path + exchange->request().body});
  }
  EXPECT_EQ(c.answer().body, "/1");
  EXPECT_EQ(c.answer().body, "/2hi");
  EXPECT_EQ(c.answer().body, "/3");
}

TEST_F(ServerTest, ReadsBodiesOfAllFramings) {
  serve([](std::shared_ptr<Exchange> exchange) {
    exchange->respond({.body = std::move(exchange->mutable_request().body)});
  });
  HttpClient c = client();
  c.send(
      "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: "
      "1\r\n\r\n");
  EXPECT_EQ(c.answer().body, "hello world");
  const std::string large(3'000'000, 'x');
  c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n" + large);
  EXPECT_EQ(c.answer().body, large);
  c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(c.answer().body, "");
  for (const char byte : std::string("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")) {
    ASSERT_TRUE(c.send({&byte, 1}));
  }
  EXPECT_EQ(c.answer().body, "abc");
}

TEST_F(ServerTest, TellsAClientThatExpectsItToSendItsBody) {
  serve([](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = exchange->request().body}); });
  HttpClient c = client();
  c.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(c.receive_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  c.send("ok");
  EXPECT_EQ(c.answer().body, "ok");
  c.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(c.answer().status, 417);
}

TEST_F(ServerTest, SendsNoBodyToHead) {
  serve([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/stream") {
      exchange->begin(200, "text/plain", {});
      exchange->write("never seen");
      exchange->end();
    } else {
      exchange->respond({.body = "four"});
    }
  });
  HttpClient c = client();
  c.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(c.answer(true).header("content-length"), "4");
  c.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(c.answer(true).status, 200);
  EXPECT_EQ(c.get("/").body, "four");
}

TEST_F(ServerTest, SpeaksToOldClients) {
  serve([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/whole") return exchange->respond({.body = "whole"});
    exchange->begin(200, "text/plain", {});
    exchange->write("stre");
    exchange->write("am");
    exchange->end();
  });
  HttpClient keeps = client();
  for (int i = 0; i < 2; ++i) {
    keeps.send("GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const HttpAnswer a = keeps.answer();
    EXPECT_EQ(a.body, "whole");
    EXPECT_EQ(a.header("connection"), "keep-alive");
  }
  keeps.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const HttpAnswer a = keeps.answer();
  EXPECT_EQ(a.body, "stream");
  EXPECT_EQ(a.header("connection"), "close");
  EXPECT_EQ(a.header("transfer-encoding"), "");
  HttpClient once = client();
  once.send("GET /whole HTTP/1.0\r\n\r\n");
  EXPECT_EQ(once.answer().body, "whole");
  EXPECT_TRUE(once.ended());
}

TEST_F(ServerTest, ClosesWhenEitherSideAsksForIt) {
  serve([](std::shared_ptr<Exchange> exchange) {
    Response response{.body = "x"};
    if (exchange->request().path == "/close") response.headers = {{"connection", "close"}};
    exchange->respond(std::move(response));
  });
  for (const auto& [target, headers] : {std::pair("/", "Connection: close\r\n"), std::pair("/close", "")}) {
    HttpClient c = client();
    EXPECT_EQ(c.get(target, headers).header("connection"), "close");
    EXPECT_TRUE(c.ended());
  }
}

TEST_F(ServerTest, StreamsWhatOtherThreadsWrite) {
  serve_kept();
  HttpClient c = client();
  c.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto exchange = take_kept();
  exchange->begin(200, "text/event-stream", {{"cache-control", "no-store"}});
  EXPECT_EQ(c.receive_to("\r\n\r\n").find("HTTP/1.1 200 OK\r\n"), 0u);
  exchange->write("one");
  EXPECT_EQ(c.receive_to("\r\none\r\n"), "3\r\none\r\n");
  std::thread writer([&] {
    for (int i = 0; i < 1000; ++i) exchange->write("0123456789");
    exchange->write("");
    exchange->end();
    exchange->write("after the end");
  });
  std::string body;
  for (std::string line = c.receive_to("\r\n"); line != "0\r\n" && !line.empty(); line = c.receive_to("\r\n")) {
    body += c.receive_bytes(std::strtoul(line.c_str(), nullptr, 16));
    c.receive_to("\r\n");
  }
  writer.join();
  EXPECT_EQ(c.receive_to("\r\n"), "\r\n");
  EXPECT_EQ(body.size(), 10000u);
  EXPECT_TRUE(eventually([&] { return exchange->backlog() == 0; }));
}

TEST_F(ServerTest, AnswersForAHandlerThatDoesNot) {
  serve([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/throw") throw std::runtime_error("a bug");
    if (exchange->request().path == "/part") {
      exchange->begin(200, "text/plain", {});
      exchange->write("part");
    }
  });
  HttpClient c = client();
  for (const char* target : {"/drop", "/throw"}) {
    const HttpAnswer a = c.get(target);
    EXPECT_EQ(a.status, 500);
    EXPECT_NE(a.body.find("\"error\""), std::string::npos);
  }
  const HttpAnswer part = c.get("/part");
  EXPECT_EQ(part.body, "part");
  EXPECT_FALSE(part.complete);
}

TEST_F(ServerTest, RefusesByTheHeadWithoutReadingTheBody) {
  Handlers handlers;
  handlers.head = [](const Request& request) -> std::optional<Response> {
    if (request.header("authorization") == "yes") return std::nullopt;
    return Response{.status = 401, .body = "who?"};
  };
  handlers.error = [](int status, std::string_view code, std::string_view) {
    return Response{.status = status, .body = "own " + std::string(code)};
  };
  serve([](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = "in"}); }, {}, std::move(handlers));
  HttpClient c = client();
  EXPECT_EQ(c.get("/").status, 401);
  EXPECT_EQ(c.get("/", "Authorization: yes\r\n").body, "in");  // without a body the connection goes on
  c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
  const HttpAnswer refused = c.answer();
  EXPECT_EQ(refused.body, "who?");
  EXPECT_EQ(refused.header("connection"), "close");
  HttpClient bad = client();
  bad.send("nonsense\r\n\r\n");
  EXPECT_EQ(bad.answer().body, "own bad_request");
}

TEST_F(ServerTest, ListensOnIpv6AndByName) {
  for (const char* host : {"::1", "[::1]", "::", "localhost"}) {
    auto server = Server::start({.host = host, .port = 0}, {.http = [](std::shared_ptr<Exchange>) {}});
    if (!server && std::string_view(host).find(':') != std::string_view::npos) GTEST_SKIP() << server.error().message;
    ASSERT_TRUE(server) << host << ": " << server.error().message;
    EXPECT_NE((*server)->port(), 0);
    // "::" is for both families.
    if (std::string_view(host) == "::") {
      EXPECT_EQ(HttpClient((*server)->port()).get("/").status, 500);
    }
  }
}

TEST_F(ServerTest, SaysWhichPortIsTakenAndListensAgainOnAFreedOne) {
  serve_text("first");
  const uint16_t port = server_->port();
  HttpClient c = client();
  EXPECT_EQ(c.get("/").body, "first");
  const Handlers handlers{.http = [](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = "second"}); }};
  const auto taken = Server::start({.port = port}, handlers);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kIo);
  EXPECT_NE(taken.error().message.find(std::to_string(port)), std::string::npos) << taken.error().message;
  server_.reset();  // cuts the connection that is open
  EXPECT_TRUE(c.ended());
  const auto again = Server::start({.port = port}, handlers);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(HttpClient(port).get("/").body, "second");
}

TEST_F(ServerTest, RefusesSenselessOptions) {
  const Handlers handlers{.http = [](std::shared_ptr<Exchange>) {}};
  EXPECT_FALSE(Server::start({.port = 0}, {}));
  EXPECT_FALSE(Server::start({.port = 0, .io_threads = 0}, handlers));
  EXPECT_FALSE(Server::start({.port = 0, .idle_timeout_s = 0}, handlers));
  const auto elsewhere = Server::start({.host = "192.0.2.1", .port = 0}, handlers);
  ASSERT_FALSE(elsewhere);
  EXPECT_NE(elsewhere.error().message.find("192.0.2.1"), std::string::npos);
}

TEST_F(ServerTest, DrainsWithStreamsOpen) {
  serve_kept();
  HttpClient streaming = client(), idle = client(), waiting = client();
  streaming.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto stream = take_kept();
  stream->begin(200, "text/plain", {});
  stream->write("a");
  waiting.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto whole = take_kept();
  ASSERT_TRUE(eventually([&] { return stats().connections == 3; }));
  server_->drain();
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(server_->wait_drained(0.02));
  ASSERT_TRUE(eventually([&] { return !client().connected(); }));
  stream->write("b");
  stream->end();
  EXPECT_EQ(streaming.answer().body, "ab");
  EXPECT_TRUE(streaming.ended());
  whole->respond({.body = "c"});
  const HttpAnswer last = waiting.answer();
  EXPECT_EQ(last.body, "c");
  EXPECT_EQ(last.header("connection"), "close");
  EXPECT_TRUE(server_->wait_drained(10));
}

TEST_F(ServerTest, RefusesRequestsThatComeWhileItDrains) {
  serve_text("x");
  HttpClient c = client();
  c.send("GET / HTTP/1.1\r\nHo");
  ASSERT_TRUE(eventually([&] { return stats().connections == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the server has read it
  server_->drain();
  c.send("st: t\r\n\r\n");
  const int status = c.answer().status;
  EXPECT_TRUE(status == 503 || status == 0) << status;  // 0: it was not read yet, and an idle connection is closed
}

TEST_F(ServerTest, LivesWithExchangesThatOutliveIt) {
  serve_kept();
  HttpClient c = client();
  c.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto exchange = take_kept();
  std::atomic<int> gone = 0;
  exchange->on_gone([&] { ++gone; });
  server_.reset();
  EXPECT_EQ(gone, 1);
  EXPECT_TRUE(exchange->gone());
  exchange->on_gone([&] { ++gone; });
  EXPECT_EQ(gone, 2);
  exchange->respond({.body = "too late"});
  exchange->write("too late");
  exchange->end();
  EXPECT_TRUE(c.ended());
}

}  // namespace
}  // namespace quern::http
