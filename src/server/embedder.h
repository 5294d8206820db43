// Embedder: a model's queue of texts to embed, in front of its service. The batcher decides when which of them go; a
// thread of its own, which starts with the first text, waits until then.
//
// Any thread may submit. The callback of an item is called once, on the service's thread, or on the embedder's where
// the service refused it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "engine/adaptive_batcher.h"
#include "engine/service.h"
#include "server/metrics/metrics.h"

namespace quern::server {

class Embedder {
 public:
  using Done = std::function<void(Result<Generation>)>;
  // The item has gone to the service, which may cancel it by this id; on the embedder's thread, perhaps after its Done.
  using Started = std::function<void(RequestId)>;

  // `metrics` may be null. The service must outlive it.
  Embedder(Service& service, std::shared_ptr<ModelMetrics> metrics, double max_wait_s);
  // Ends what has not gone to the service with kCancelled.
  ~Embedder();
  Embedder(const Embedder&) = delete;
  Embedder& operator=(const Embedder&) = delete;

  void submit(ServiceRequest request, Done done, Started started = {});

 private:
  struct Item {
    ServiceRequest request;
    Done done;
    Started started;
  };
  struct Batch;
  class Sink;

  void run();
  void send(const std::vector<uint64_t>& ids, std::unique_lock<std::mutex>& lock);
  void batch_ended(const Batch& batch);

  Service& service_;
  const std::shared_ptr<ModelMetrics> metrics_;
  std::mutex mutex_;  // of all below
  std::condition_variable wake_;
  AdaptiveBatcher batcher_;
  std::map<uint64_t, Item> items_;
  uint64_t next_id_ = 0;
  size_t under_way_ = 0;  // batches that the service has
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quern::server
