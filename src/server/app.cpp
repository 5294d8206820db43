#include "server/app.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "os/memory.h"
#include "server/call.h"

namespace quern::server {

namespace {

// Templates and tokenizing: one thread can prepare some hundred prompts a second; two let a long one not stop the rest.
constexpr unsigned kWorkThreads = 2;
constexpr size_t kMaxMessageBytes = size_t{4} << 20;  // of a WebSocket
constexpr const char* kDegradedKv = "the folder of kept prefixes cannot be used: ";

http::ServerOptions http_options(const ServerConfig& c) {
  return {.host = c.host,
          .port = static_cast<uint16_t>(c.port),
          .max_body_bytes = size_t{c.max_body_mb} << 20,
          .max_header_bytes = size_t{c.max_header_kb} << 10,
          .max_connections = c.max_connections,
          .header_timeout_s = c.header_timeout.seconds,
          .body_timeout_s = c.body_timeout.seconds,
          .idle_timeout_s = c.idle_timeout.seconds,
          .write_timeout_s = c.write_timeout.seconds,
          .tls_certificate = c.tls_certificate,
          .tls_key = c.tls_key,
          .websocket_protocols = {"quern.v1"},
          .max_message_bytes = kMaxMessageBytes};
}

SessionLimits session_limits(const ServerConfig& c) {
  return {.ttl_s = c.session_ttl.seconds,
          .replay = {.events = c.replay_window},
          .per_tenant = c.max_sessions_per_key,
          .in_all = c.max_sessions,
          .bytes = c.session_memory.bytes};
}

}  // namespace

App::App(ServerConfig c, std::unique_ptr<ApiKeys> k)
    : config(std::move(c)),
      keys(std::move(k)),
      limits(config.requests_per_minute, config.tokens_per_minute),
      log(config.log, config.log_prompts, file_writer(stderr)),
      sessions(session_limits(config), now_s),
      models(config, metrics),
      work(kWorkThreads) {}

App::~App() {
  http_.reset();
}

Result<std::unique_ptr<App>> App::start(ServerConfig config) {
  auto keys = std::make_unique<ApiKeys>();
  if (!config.api_keys.empty()) {
    QUERN_TRY(keys, ApiKeys::load(config.api_keys));
  }
  std::unique_ptr<App> app(new App(std::move(config), std::move(keys)));
  App* self = app.get();
  QUERN_TRY(app->http_,
            http::Server::start(http_options(app->config),
                                {.http = [self](std::shared_ptr<http::Exchange> e) { self->handle(std::move(e)); },
                                 .websocket = [self](auto socket) { self->handle_websocket(std::move(socket)); },
                                 .head =
                                     [self](const http::Request& r) {
                                       auto refusal = self->check_head(r);
                                       if (refusal) self->add_cors(r, refusal->headers);  // a page may read why
                                       return refusal;
                                     },
                                 .error = {}}));
  return app;
}

Status App::reload() {
  QUERN_CHECK_OK(keys->reload());
  return config.tls_certificate.empty() ? Status() : http_->reload_tls();
}

void App::drain() {
  draining_ = true;
  sessions.drain();
  pulls.stop();
}

bool App::wait_drained(double seconds) {
  constexpr auto kLookAgain = std::chrono::milliseconds(5);
  const double end = now_s() + seconds;
  const auto busy = [this] {
    const auto loaded = models.loaded();
    return std::any_of(loaded.begin(), loaded.end(), [](const auto& m) { return !m->service->idle(); });
  };
  while (!closing_ && busy()) {
    if (now_s() >= end) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
  if (!std::exchange(closing_, true)) http_->drain();
  return http_->wait_drained(std::max(0.0, end - now_s()));
}

void App::end_streams() {
  for (const auto& model : models.loaded()) model->service->stop();
}

Health App::health(std::string& reason) const {
  if (draining_) return Health::kDraining;
  if (!models.ready()) return Health::kStarting;
  reason = models.trouble();
  for (const auto& model : models.loaded()) {
    const ServiceState s = model->service->state();
    if (reason.empty() && !s.disk_notice.empty()) reason = kDegradedKv + s.disk_notice;
  }
  return reason.empty() ? Health::kOk : Health::kDegraded;
}

void App::add_cors(const http::Request& request, http::Headers& headers) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return;
  for (auto& header :
       cors_headers(config.cors_origins, {.method = request.method,
                                          .origin = origin,
                                          .requested_method = request.header("access-control-request-method"),
                                          .requested_headers = request.header("access-control-request-headers")})) {
    headers.push_back(std::move(header));
  }
}

// As long as the waiting requests take at the pace of one a second and slot, which is what short answers need.
int App::retry_after_s() const {
  size_t waiting = 0, slots = 1;
  for (const auto& model : models.loaded()) {
    const ServiceState s = model->service->state();
    waiting += s.waiting;
    slots += s.slots;
  }
  return static_cast<int>(1 + waiting / slots);
}

void App::finished(const Route& route, const RequestRecord& record) {
  metrics.request(std::string(route.path), record.status, record.duration_s);
  log.write(record);
}

std::string App::render_metrics() {
  for (const auto& model : models.loaded()) model->metrics->set_state(model->service->state());
  const http::ServerStats s = http_->stats();
  metrics.set_connections(s.connections);
  const SessionStore::Figures streams = sessions.figures();
  metrics.set_sessions(streams.open, streams.without_client, streams.bytes);
  metrics.set_requests_in_flight(s.exchanges);
  const uint64_t limit = config.memory_limit.kind == ByteLimit::Kind::kBytes ? config.memory_limit.bytes : 0;
  metrics.set_memory(read_memory().resident.value_or(0), limit);
  std::string reason;
  const Health h = health(reason);
  metrics.set_degraded(h == Health::kDegraded);
  metrics.set_draining(h == Health::kDraining);
  return metrics.render();
}

}  // namespace quern::server
