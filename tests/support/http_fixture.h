// What the tests of src/server/http share: a server on a free port, and the check that nothing of it is left over.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/http.h"
#include "tests/support/http_client.h"

namespace quern::http {

using test::HttpAnswer;
using test::HttpClient;

inline bool eventually(const std::function<bool()>& condition, double seconds = 10) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class HttpTest : public ::testing::Test {
 protected:
  using Handler = std::function<void(std::shared_ptr<Exchange>)>;

  // Counts what the handlers are given, so that the end of the test can tell that none of it lives.
  void serve(Handler handler, ServerOptions options = {}, Handlers others = {}) {
    options.port = 0;
    others.http = [this, handler = std::move(handler)](std::shared_ptr<Exchange> exchange) {
      {
        const std::lock_guard lock(mutex_);
        exchanges_.push_back(exchange);
      }
      handler(std::move(exchange));
    };
    auto server = Server::start(std::move(options), std::move(others));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  void serve_text(std::string text, ServerOptions options = {}) {
    serve(
        [text](std::shared_ptr<Exchange> exchange) { exchange->respond({.body = text, .content_type = "text/plain"}); },
        std::move(options));
  }
  HttpClient client(int receive_buffer = 0) const { return HttpClient(server_->port(), receive_buffer); }
  ServerStats stats() const { return server_->stats(); }
  bool all_released() {
    const std::lock_guard lock(mutex_);
    for (const auto& exchange : exchanges_) {
      if (!exchange.expired()) return false;
    }
    return true;
  }

  // Tests close their clients before.
  void TearDown() override {
    kept_.clear();
    if (!server_) return;
    EXPECT_TRUE(eventually([&] { return stats().connections == 0; })) << stats().connections << " connections left";
    EXPECT_TRUE(eventually([&] { return stats().exchanges == 0; })) << stats().exchanges << " exchanges open";
    EXPECT_TRUE(eventually([&] { return all_released(); }));
    server_.reset();
  }

  // Exchanges that a handler gives to the test's thread.
  void keep(std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(exchange));
  }
  std::shared_ptr<Exchange> take_kept() {
    std::shared_ptr<Exchange> taken;
    eventually([&] {
      const std::lock_guard lock(mutex_);
      if (kept_.empty()) return false;
      taken = std::move(kept_.front());
      kept_.erase(kept_.begin());
      return true;
    });
    return taken;
  }
  void serve_kept(ServerOptions options = {}) {
    serve([this](std::shared_ptr<Exchange> exchange) { keep(std::move(exchange)); }, std::move(options));
  }

  std::unique_ptr<Server> server_;

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Exchange>> exchanges_;
  std::vector<std::shared_ptr<Exchange>> kept_;
};

}  // namespace quern::http
