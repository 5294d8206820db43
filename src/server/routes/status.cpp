// /health, /ready, /metrics, /openapi.json.
#include "server/app.h"
#include "server/call.h"

namespace quern::server {

namespace {

const char* health_name(Health h) {
  switch (h) {
    case Health::kStarting:
      return "starting";
    case Health::kOk:
      return "ok";
    case Health::kDegraded:
      return "degraded";
    case Health::kDraining:
      return "draining";
  }
  return "unknown";
}

Json health_schema() {
  return Json::parse(R"({"type": "object", "required": ["status"], "properties": {
    "status": {"enum": ["starting", "ok", "degraded", "draining"]}, "reason": {"type": "string"},
    "models": {"type": "array", "items": {"type": "object", "properties": {
      "name": {"type": "string"}, "running": {"type": "integer"}, "waiting": {"type": "integer"}}}}}})");
}

void health(const std::shared_ptr<Call>& call) {
  std::string reason;
  const Health h = call->app.health(reason);
  Json answer = {{"status", health_name(h)}};
  if (!reason.empty()) answer["reason"] = reason;
  answer["models"] = Json::array();
  for (const auto& model : call->app.models.loaded()) {
    const ServiceState s = model->service->state();
    answer["models"].push_back({{"name", model->name},
                                {"running", s.running},
                                {"waiting", s.waiting},
                                {"slots", s.slots},
                                {"pages", s.pages},
                                {"pages_used", s.pages_used},
                                {"pages_cached", s.pages_cached}});
  }
  // Degraded still serves; a balancer that looks at the code alone takes the others out.
  call->respond(answer, h == Health::kOk || h == Health::kDegraded ? 200 : 503);
}

void ready(const std::shared_ptr<Call>& call) {
  std::string reason;
  const Health h = call->app.health(reason);
  const bool yes = h == Health::kOk || h == Health::kDegraded;
  call->respond({{"ready", yes}}, yes ? 200 : 503);
}

void metrics(const std::shared_ptr<Call>& call) {
  call->respond({.status = 200,
                 .headers = {},
                 .body = call->app.render_metrics(),
                 .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void openapi(const std::shared_ptr<Call>& call) {
  call->respond(openapi_document());
}

}  // namespace

Route health_route() {
  return {.method = "GET",
          .path = "/health",
          .summary = "Whether the server works: starting, ok, degraded with the reason, draining",
          .handle = health,
          .response = health_schema,
          .open = true,
          .quick = true,
          .answers = {{503, "Starting or draining"}}};
}

Route ready_route() {
  return {.method = "GET",
          .path = "/ready",
          .summary = "Whether requests are taken",
          .handle = ready,
          .open = true,
          .quick = true,
          .answers = {{503, "Not now"}}};
}

Route metrics_route() {
  return {.method = "GET",
          .path = "/metrics",
          .summary = "Figures for Prometheus",
          .handle = metrics,
          .open = true,
          .produces = "text/plain"};
}

Route openapi_route() {
  return {.method = "GET",
          .path = "/openapi.json",
          .summary = "This interface as OpenAPI 3.1",
          .handle = openapi,
          .open = true};
}

}  // namespace quern::server
