// What clients do to a server. Each test ends with the check that no connection, exchange or callback is left.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <random>

#include "tests/support/http_fixture.h"

namespace quern::http {
namespace {

using FaultTest = HttpTest;
using namespace std::string_literals;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

TEST_F(FaultTest, MalformedRequestsAreRefusedAndTheConnectionEnds) {
  serve_text("x", {.max_body_bytes = 1000, .max_header_bytes = 12000});
  const std::string long_target(9000, 'a'), long_value(13000, 'a');
  std::string many_fields;
  for (int i = 0; i < 300; ++i) many_fields += "a: b\r\n";
  const std::pair<std::string, int> cases[] = {
      {"\x16\x03\x01\x02", 400},
      {"GET\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\n\r\n", 505},
      {"GET / HTTP/2.0\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"G@T / HTTP/1.1\r\n\r\n", 400},
      {"GET /\x01 HTTP/1.1\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost t\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: t\r\nbad name: 1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: t\r\na: \0\r\n\r\n"s, 400},
      {"GET / HTTP/1.1\r\nHost: t\r\na: \x01\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(20000, 'e'), 431},
      {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n", 413},
      {"GET /" + long_target + " HTTP/1.1\r\nHost: t\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: t\r\na: " + long_value + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: t\r\n" + many_fields + "\r\n", 431},
  };
  for (const auto& [bytes, status] : cases) {
    HttpClient c = client();
    c.send(bytes);
    const HttpAnswer a = c.answer();
    EXPECT_EQ(a.status, status) << bytes.substr(0, 80);
    EXPECT_TRUE(a.body.starts_with(R"({"error":{"message":")")) << a.body;
    EXPECT_TRUE(c.ended()) << bytes.substr(0, 80);
  }
  EXPECT_EQ(stats().bad_requests, std::size(cases));
}

TEST_F(FaultTest, AHeaderIsLimitedHoweverItsPiecesCome) {
  serve_text("x", {.max_header_bytes = 4096});
  HttpClient c = client();
  c.send("GET / HTTP/1.1\r\nHost: t\r\n");
  bool open = true;
  size_t sent = 0;
  for (; open && sent < 100'000; sent += 106) {  // whole lines, so that the parser takes each at once
    open = c.send("a: " + std::string(100, 'b') + "\r\n");
    if (sent % 1060 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(c.answer().status, 431);
}

TEST_F(FaultTest, TenMegabytesOfHeaderAndAHundredOfBodyAreNotRead) {
  serve_text("x");
  HttpClient header = client();
  header.send("GET / HTTP/1.1\r\nHost: t\r\na: ");
  const std::string block(1 << 20, 'a');
  for (int i = 0; i < 10 && header.send(block); ++i) {
  }
  EXPECT_EQ(header.answer().status, 431);
  HttpClient body = client();
  body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 104857600\r\n\r\n");
  const HttpAnswer a = body.answer();  // before any of it is sent
  EXPECT_EQ(a.status, 413);
  EXPECT_EQ(a.header("connection"), "close");
}

TEST_F(FaultTest, AClientThatIsRefusedMayFinishSendingAndReadsWhy) {
  serve_text("x", {.max_body_bytes = 1000});
  HttpClient c = client();
  c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 8000000\r\n\r\n");
  EXPECT_TRUE(c.send(std::string(8'000'000, 'b')));
  EXPECT_EQ(c.answer().status, 413);
}

TEST_F(FaultTest, SlowWritersAreTimedOut) {
  serve_text("x", {.header_timeout_s = 0.05, .body_timeout_s = 0.05, .idle_timeout_s = 0.5});
  HttpClient in_header = client(), in_body = client(), idle = client(), between = client();
  in_header.send("GET / HTTP/1.1\r\nHo");
  in_body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(between.get("/").status, 200);
  EXPECT_EQ(in_header.answer().status, 408);
  EXPECT_EQ(in_body.answer().status, 408);
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(between.ended());
  EXPECT_EQ(stats().timeouts, 2u);
}

TEST_F(FaultTest, ASlowReaderOverTheBacklogCountsAsGone) {
  serve_kept({.max_backlog_bytes = 100'000});
  HttpClient c = client(4096);
  c.send(kGet);
  const auto exchange = take_kept();
  std::atomic<int> gone = 0, drained = 0;
  exchange->on_gone([&] { ++gone; });
  exchange->begin(200, "text/plain", {});
  exchange->on_drained(1, [&] { ++drained; });
  ASSERT_TRUE(eventually([&] { return drained == 1; }));
  const std::string block(10'000, 'x');
  for (int i = 0; i < 100'000 && !exchange->gone(); ++i) {
    exchange->write(block);
    EXPECT_LE(exchange->backlog(), 120'000u);
  }
  EXPECT_TRUE(exchange->gone());
  ASSERT_TRUE(eventually([&] { return gone == 1; }));
  exchange->on_drained(1, [&] { ++drained; });
  exchange->end();
  EXPECT_EQ(drained, 1);
  EXPECT_EQ(stats().client_gone, 1u);
}

TEST_F(FaultTest, AnAbortIsHeardWhileTheSocketIsFull) {
  serve_kept({.max_backlog_bytes = 100'000'000});
  HttpClient c = client(4096);
  c.send(kGet);
  const auto exchange = take_kept();
  exchange->begin(200, "text/plain", {});
  exchange->write(std::string(20'000'000, 'x'));
  for (int i = 0; i < 3; ++i) {  // each wakes the connection, which can send nothing
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    exchange->write("y");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  exchange->abort();
  EXPECT_TRUE(eventually([&] { return stats().connections == 0; }));
}

TEST_F(FaultTest, AReaderThatTakesNothingIsTimedOut) {
  serve([](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = std::string(50'000'000, 'x')}); },
        {.write_timeout_s = 0.05});
  HttpClient c = client(4096);
  c.send(kGet);
  ASSERT_TRUE(eventually([&] { return stats().client_gone == 1; }));
  EXPECT_EQ(stats().timeouts, 1u);
}

TEST_F(FaultTest, AHandlerThatWaitsForTheDrainLosesNothing) {
  std::function<void(std::shared_ptr<Exchange>, int)> fill = [&](std::shared_ptr<Exchange> exchange, int left) {
    if (left == 0) return exchange->end();
    exchange->write(std::string(50'000, 'x'));
    exchange->on_drained(60'000, [&fill, exchange, left] { fill(exchange, left - 1); });
  };
  serve(
      [&](std::shared_ptr<Exchange> exchange) {
        exchange->begin(200, "text/plain", {});
        fill(std::move(exchange), 200);
      },
      {.max_backlog_bytes = 120'000});
  HttpClient c = client(4096);
  c.send(kGet);
  const HttpAnswer a = c.answer();
  EXPECT_EQ(a.body.size(), 10'000'000u);
  EXPECT_TRUE(a.complete);
}

TEST_F(FaultTest, AHalfClosedClientGetsItsAnswer) {
  serve_kept();
  for (const bool stream : {false, true}) {
    for (const char* version : {"1.1", "1.0"}) {
      HttpClient c = client();
      c.send(std::string("GET / HTTP/") + version + "\r\nHost: t\r\n\r\n");
      c.shutdown_sending();
      const auto exchange = take_kept();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (stream) {
        exchange->begin(200, "text/plain", {});
        exchange->write("half");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        exchange->write("way");
        exchange->end();
      } else {
        exchange->respond({.body = "halfway"});
      }
      const HttpAnswer a = c.answer();
      EXPECT_EQ(a.status, 200);
      EXPECT_EQ(a.body, "halfway") << a.head;
      EXPECT_TRUE(c.ended());
    }
  }
  EXPECT_EQ(stats().client_gone, 0u);
}

TEST_F(FaultTest, AHalfCloseWithinAStreamIsProbedWithinTheFraming) {
  serve_kept();
  HttpClient c = client();
  c.send(kGet);
  const auto exchange = take_kept();
  exchange->begin(200, "text/plain", {});
  c.receive_to("\r\n\r\n");
  c.shutdown_sending();
  EXPECT_EQ(c.receive_bytes(1), "0");  // the leading zero of a size
  exchange->write("abc");
  EXPECT_EQ(c.receive_to("abc\r\n"), "3\r\nabc\r\n");
  exchange->end();
  EXPECT_EQ(c.receive_all(), "0\r\n\r\n");
}

TEST_F(FaultTest, AClientThatDiesIsNoticedInEachPhase) {
  serve_kept();
  for (const bool reset : {false, true}) {
    const auto die = [&](HttpClient& c) { reset ? c.reset() : c.close(); };
    const uint64_t before = stats().client_gone;
    for (const char* part : {"", "GET / HT", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc"}) {
      HttpClient c = client();
      c.send(part);
      ASSERT_TRUE(eventually([&] { return stats().connections == 1; }));
      die(c);
      ASSERT_TRUE(eventually([&] { return stats().connections == 0; })) << part;
    }
    EXPECT_EQ(stats().client_gone, before);
    for (const bool stream : {false, true}) {
      HttpClient c = client();
      c.send(kGet);
      const auto exchange = take_kept();
      std::atomic<int> gone = 0;
      exchange->on_gone([&] { ++gone; });
      if (stream) {
        exchange->begin(200, "text/plain", {});
        exchange->write("token");
        c.receive_to("token");
      }
      EXPECT_FALSE(exchange->gone());
      die(c);  // while nothing is written
      ASSERT_TRUE(eventually([&] { return gone == 1; })) << stream;
      EXPECT_TRUE(exchange->gone());
      exchange->write("more");
      exchange->respond({.body = "more"});
      exchange->end();
    }
    EXPECT_EQ(stats().client_gone, before + 2);
  }
}

TEST_F(FaultTest, AClientThatPipelinesAndDiesIsNoticed) {
  serve_kept();
  HttpClient c = client();
  c.send(std::string(kGet) + std::string(kGet));
  const auto exchange = take_kept();
  std::atomic<int> gone = 0;
  exchange->on_gone([&] { ++gone; });
  c.close();
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
}

TEST_F(FaultTest, AnAbortedAnswerIsNotTakenForAWholeOne) {
  serve([](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/stream") {
      exchange->begin(200, "text/plain", {});
      exchange->write("part");
    }
    exchange->abort();
    exchange->end();
  });
  HttpClient chunked = client();
  const HttpAnswer a = chunked.get("/stream");
  EXPECT_EQ(a.body, "part");
  EXPECT_FALSE(a.complete);
  HttpClient unanswered = client();
  EXPECT_EQ(unanswered.get("/").status, 0);
  EXPECT_EQ(stats().client_gone, 0u);
}

TEST_F(FaultTest, ConnectionsOverTheLimitAreToldSo) {
  serve_text("x", {.max_connections = 2});
  HttpClient a = client(), b = client();
  EXPECT_EQ(a.get("/").status, 200);
  EXPECT_EQ(b.get("/").status, 200);
  HttpClient refused = client();
  refused.send(kGet);
  EXPECT_EQ(refused.answer().status, 503);
  EXPECT_EQ(a.get("/").status, 200);
  EXPECT_EQ(stats().refused, 1u);
}

TEST_F(FaultTest, ThousandsOfIdleConnectionsLeaveRoomForOneThatIsNot) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_NOFILE, &files);
  const size_t n = files.rlim_cur > 11000 ? 5000 : files.rlim_cur > 5000 ? 2000 : 400;  // both ends are ours
  serve_text("x");
  std::vector<HttpClient> idle;
  for (size_t i = 0; i < n; ++i) idle.push_back(client());
  ASSERT_TRUE(eventually([&] { return stats().connections == n; })) << stats().connections;
  EXPECT_EQ(client().get("/").body, "x");
}

// Requests of which parts are damaged, cut off or sent in pieces, in one process: the server answers or closes, and the
// next client is served. The answers' own checks are those of the other tests.
TEST_F(FaultTest, TenThousandRandomRequests) {
  serve(
      [](std::shared_ptr<Exchange> exchange) {
        const std::string& body = exchange->request().body;
        if (body.size() % 3 == 0) return exchange->respond({.body = body});
        exchange->begin(200, "text/plain", {});
        exchange->write(body);
        if (body.size() % 3 == 1) exchange->end();
      },
      {.io_threads = 2, .max_body_bytes = 4096, .max_header_bytes = 4096});
  constexpr uint64_t kSeed = 20240611;
  std::mt19937_64 random(kSeed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::string_view pieces[] = {"GET ",
                                     "POST ",
                                     "/",
                                     " HTTP/1.1\r\n",
                                     " HTTP/1.0\r\n",
                                     "Host: t\r\n",
                                     "\r\n",
                                     "Content-Length: 7\r\n",
                                     "Transfer-Encoding: chunked\r\n",
                                     "4\r\nabcd\r\n",
                                     "0\r\n\r\n",
                                     "Expect: 100-continue\r\n",
                                     "Connection: close\r\n",
                                     "\0\xff",
                                     "a: b\r\n"};
  const std::string whole[] = {
      std::string(kGet), "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123456789",
      "POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"};
  std::deque<HttpClient> open;
  for (int i = 0; i < 10'000; ++i) {
    // A connection serves several requests, so that a good one also follows what a damaged one left behind.
    if (open.empty() || !open.back().connected() || below(4) == 0) open.push_back(client());
    if (open.size() > 20) open.pop_front();
    HttpClient& c = open.back();
    std::string request = whole[below(3)];
    const size_t kind = below(4);
    if (kind == 0) request[below(request.size())] = static_cast<char>(random());
    if (kind == 1) request.resize(below(request.size()));
    if (kind == 2) {
      request.clear();
      for (size_t k = below(12); k > 0; --k) request += pieces[below(std::size(pieces))];
    }
    const size_t cut = below(request.size() + 1);
    if (!c.send(std::string_view(request).substr(0, cut)) || !c.send(std::string_view(request).substr(cut))) c.close();
    if (kind == 3 && below(2) == 0) (void)c.receive(0);
    if (below(50) == 0) c.reset();
  }
  open.clear();
  EXPECT_EQ(client().get("/").status, 200) << "seed " << kSeed;
  EXPECT_GT(stats().requests, 1000u);
  EXPECT_GT(stats().bad_requests, 1000u);
}

}  // namespace
}  // namespace quern::http
