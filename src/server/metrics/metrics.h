// Metrics: what the server counts, in the text format of Prometheus. Only metrics.cpp knows prometheus-cpp.
//
// Names begin with quern_ and carry their unit. Labels have few values: models, routes of the table, status codes.
// Any thread may call any member. Those of ModelMetrics do no look-up and do not allocate: they are called per token.
// Nothing throws; a name that Prometheus would not take cannot occur, since all are in metrics.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/service.h"

namespace quern::server {

// Figures of the batcher of work without streams, as they stand.
struct BatcherFigures {
  double batches = 0;                 // so far
  double padding_avoided_tokens = 0;  // so far: what batches padded to their longest member would have added
  double mean_batch_size = 0;         // requests
  double mean_wait_seconds = 0;
};

// One model's. It stays when the model is unloaded: its counters go on when it comes back.
class ModelMetrics : public ServiceObserver {
 public:
  // What is only known by asking; before each render().
  virtual void set_state(const ServiceState& state) = 0;
  virtual void set_batcher(const BatcherFigures& figures) = 0;
  virtual void loaded(double seconds) = 0;
  // Also sets what set_state() says to nothing.
  virtual void unloaded() = 0;
  virtual void truncated(std::string_view policy, uint64_t tokens_dropped) = 0;
};

enum class CancelCause : uint8_t { kClientGone, kRequest, kDeadline, kDrain };

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same object for the same name.
  std::shared_ptr<ModelMetrics> model(const std::string& name);

  // `route` is a pattern of the route table, never a path that a client made up: those are "other".
  void request(const std::string& route, int code, double seconds);
  void cancelled(CancelCause cause);
  void rate_limited(std::string_view limit);  // "requests" or "tokens"
  void refused_key();                         // none, or a wrong one
  void queue_full();
  void replayed(uint64_t events);  // to clients that came back to a session

  void set_connections(size_t open);
  void set_requests_in_flight(size_t requests);
  void set_sessions(size_t open, size_t without_client, size_t bytes);
  // `limit` 0: none.
  void set_memory(uint64_t resident_bytes, uint64_t limit_bytes);
  void set_degraded(bool degraded);
  void set_draining(bool draining);

  // The text exposition, version 0.0.4.
  [[nodiscard]] std::string render() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern::server
