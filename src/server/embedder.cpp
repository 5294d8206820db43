#include "server/embedder.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/clock.h"

namespace quern::server {

struct Embedder::Batch {
  Embedder* owner;
  size_t size, tokens;
  double start;
  std::atomic<size_t> left;
};

class Embedder::Sink final : public RequestSink {
 public:
  Sink(std::shared_ptr<Batch> batch, Done done) : batch_(std::move(batch)), done_(std::move(done)) {}
  bool on_token(const TokenEvent&) override { return true; }
  void on_end(Result<Generation> result) override {
    // First the batch: who hears of the last item may destroy the embedder.
    if (batch_->left.fetch_sub(1) == 1) batch_->owner->batch_ended(*batch_);
    std::exchange(done_, {})(std::move(result));
  }

 private:
  std::shared_ptr<Batch> batch_;
  Done done_;
};

Embedder::Embedder(Service& service, std::shared_ptr<ModelMetrics> metrics, double max_wait_s)
    : service_(service), metrics_(std::move(metrics)), batcher_({.max_wait_s = max_wait_s}) {}

Embedder::~Embedder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (auto& [id, item] : items_) item.done(fail(ErrorCode::kCancelled, "the model is unloaded"));
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return under_way_ == 0; });
}

void Embedder::submit(ServiceRequest request, Done done, Started started) {
  {
    const std::lock_guard lock(mutex_);
    batcher_.add(next_id_, request.prompt.size(), now_s());
    items_.emplace(next_id_++, Item{std::move(request), std::move(done), std::move(started)});
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  wake_.notify_all();
}

void Embedder::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    // What else the engine does counts as busy too: an item joins the next step in any case.
    const bool idle = under_way_ == 0 && service_.idle();
    const std::vector<uint64_t> ids = batcher_.take(now_s(), idle);
    if (!ids.empty()) {
      send(ids, lock);
      continue;
    }
    const double wait = batcher_.next_deadline(idle) - now_s();
    if (std::isfinite(wait)) {
      wake_.wait_for(lock, std::chrono::duration<double>(std::max(wait, 1e-4)));
    } else {
      wake_.wait(lock, [this] { return stopping_ || batcher_.waiting() > 0; });
    }
  }
}

void Embedder::send(const std::vector<uint64_t>& ids, std::unique_lock<std::mutex>& lock) {
  auto batch = std::shared_ptr<Batch>(new Batch{this, ids.size(), 0, now_s(), {ids.size()}});
  std::vector<Item> items;
  for (const uint64_t id : ids) {
    items.push_back(std::move(items_.extract(id).mapped()));
    batch->tokens += items.back().request.prompt.size();
  }
  ++under_way_;
  lock.unlock();
  for (Item& item : items) {
    auto sink = std::make_shared<Sink>(batch, std::move(item.done));
    const auto id = service_.submit(std::move(item.request), sink);
    if (!id) {
      sink->on_end(tl::unexpected<Error>(id.error()));
    } else if (item.started) {
      item.started(*id);
    }
  }
  lock.lock();
}

void Embedder::batch_ended(const Batch& batch) {
  BatcherStats s;
  {
    const std::lock_guard lock(mutex_);
    batcher_.done(batch.size, batch.tokens, now_s() - batch.start);
    --under_way_;
    s = batcher_.stats();
    wake_.notify_all();  // under the lock: the destructor waits for this
  }
  if (metrics_ == nullptr) return;
  metrics_->set_batcher({.batches = static_cast<double>(s.batches),
                         .padding_avoided_tokens = static_cast<double>(s.mixed_padding),
                         .mean_batch_size = s.mean_size,
                         .mean_wait_seconds = s.mean_wait_s});
}

}  // namespace quern::server
