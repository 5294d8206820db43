// App: a running server: configuration, keys, models, metrics, log, sessions, and the dispatch of requests to routes.
//
// Created by serve(), lives until the server has stopped. Members are safe to use from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "server/auth/api_keys.h"
#include "server/auth/cors.h"
#include "server/auth/rate_limit.h"
#include "server/config/server_config.h"
#include "server/grammars.h"
#include "server/http/http.h"
#include "server/log/request_log.h"
#include "server/metrics/metrics.h"
#include "server/model_infos.h"
#include "server/models.h"
#include "server/pulls.h"
#include "server/route.h"
#include "server/session/session_store.h"
#include "server/task_pool.h"
#include "server/tools/offered_tools.h"
#include "server/tools/sampled_calls.h"

namespace quern::server {

enum class Health : uint8_t { kStarting, kOk, kDegraded, kDraining };

class App {
 public:
  // Reads keys and certificates and listens; models load while the server already answers /health.
  static Result<std::unique_ptr<App>> start(ServerConfig config);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  [[nodiscard]] uint16_t port() const { return http_->port(); }
  // Waits for the models that load at the start.
  Status load_models() { return models.start(); }
  // Ends a wait for models; none is loaded any more.
  void stop_loading() { models.stop(); }
  // SIGHUP: keys and certificates again. What is wrong is told, and the old ones stay.
  Status reload();
  // SIGTERM: new work is refused from here on, and what runs goes on; but pulls stop, which can go on another time.
  // /health and /metrics still answer, so that a balancer sees why.
  void drain();
  // Waits until all has been answered, then closes the connections; false when the time is up first. One thread.
  bool wait_drained(double seconds);
  // Ends what still runs: streams get an error as their last event.
  void end_streams();

  const ServerConfig config;
  const std::unique_ptr<ApiKeys> keys;
  RateLimiter limits;
  Metrics metrics;
  RequestLog log;
  SessionStore sessions;
  ModelStore models;
  ModelInfos infos;
  Pulls pulls;
  Grammars grammars;
  ToolStore tool_store;
  SampledCalls sampled_calls;
  TaskPool work;

  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] Health health(std::string& reason) const;
  void add_cors(const http::Request& request, http::Headers& headers) const;
  // How long a client that was refused for load had better wait.
  [[nodiscard]] int retry_after_s() const;
  void finished(const Route& route, const RequestRecord& record);
  // The figures that are asked for rather than counted, then all of them.
  std::string render_metrics();
  [[nodiscard]] http::ServerStats connections() const { return http_->stats(); }

 private:
  App(ServerConfig c, std::unique_ptr<ApiKeys> k);
  void handle(std::shared_ptr<http::Exchange> exchange);
  void handle_websocket(std::shared_ptr<http::WebSocket> socket);
  std::optional<http::Response> check_head(const http::Request& request);
  void run(const std::shared_ptr<class Call>& call);

  std::atomic<bool> draining_{false};
  bool closing_ = false;
  std::unique_ptr<http::Server> http_;  // last: its threads use all the others
};

}  // namespace quern::server
