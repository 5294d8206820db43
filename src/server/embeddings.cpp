#include "server/embeddings.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "server/app.h"
#include "server/embedder.h"
#include "server/generation.h"

namespace quern::server {

namespace {

// The inputs of one call, as they go and come back.
struct Gathering {
  std::shared_ptr<Call> call;
  std::shared_ptr<Model> model;
  std::function<void(Result<Embeddings>)> done;
  ServiceRequest rank;
  size_t most_under_way = 1;
  std::mutex mutex;  // results come from the service's thread and, refused, from the embedder's
  std::vector<std::vector<int32_t>> inputs;
  size_t next = 0, under_way = 0;  // of the inputs
  std::vector<RequestId> ids;      // of those that went, to be cancelled
  bool gone = false, finished = false;
  Embeddings all;
  std::optional<Error> error;
};

void normalize(std::vector<float>& vector) {
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  const double length = std::sqrt(sum);
  if (!(length > 0)) return;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
}

void advance(const std::shared_ptr<Gathering>& g);

void take(const std::shared_ptr<Gathering>& g, size_t index, Result<Generation> result) {
  {
    const std::lock_guard lock(g->mutex);
    if (result) {
      normalize(result->embedding);
      g->all.vectors[index] = std::move(result->embedding);
      g->all.prompt_tokens += result->stats.prompt_tokens;
    } else if (!g->error) {
      g->error = {result.error().code, fmt::format("input {}: {}", index, result.error().message)};
    }
    --g->under_way;
  }
  advance(g);
}

void started(Gathering& g, RequestId id) {
  {
    const std::lock_guard lock(g.mutex);
    if (!g.gone) return g.ids.push_back(id);
  }
  g.model->service->cancel(id);
}

// Nothing is under way any more, and nothing will be.
void finish(Gathering& g, bool gone) {
  Call& call = *g.call;
  call.record.prompt_tokens = g.all.prompt_tokens;
  call.app.limits.charge(*call.principal, g.all.prompt_tokens, now_s());
  if (gone) {
    call.record.finish_reason = "client_gone";
    call.app.metrics.cancelled(CancelCause::kClientGone);
  }
  if (g.error) return g.done(tl::unexpected<Error>(*g.error));
  g.done(std::move(g.all));
}

// Sends what may go: no more at a time than there are slots, so that a call of 2,000 texts fills the engine but not the
// queue of the others.
void advance(const std::shared_ptr<Gathering>& g) {
  for (;;) {
    size_t index = 0;
    {
      std::unique_lock lock(g->mutex);
      const bool all_sent = g->next == g->inputs.size() || g->error || g->gone;
      if (all_sent && g->under_way == 0 && !std::exchange(g->finished, true)) {
        const bool gone = g->gone;
        lock.unlock();
        return finish(*g, gone);
      }
      if (all_sent || g->under_way == g->most_under_way) return;
      index = g->next++;
      ++g->under_way;
    }
    ServiceRequest request = g->rank;
    request.embed = true;
    request.prompt = std::move(g->inputs[index]);
    g->model->embedder->submit(
        std::move(request), [g, index](Result<Generation> result) { take(g, index, std::move(result)); },
        [g](RequestId id) { started(*g, id); });
  }
}

}  // namespace

void embed(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
           std::vector<std::vector<int32_t>> inputs, std::function<void(Result<Embeddings>)> done) {
  if (inputs.empty()) return done(fail(ErrorCode::kInvalidArgument, "there is no text to embed"));
  call->record.model = model->name;
  auto g = std::make_shared<Gathering>();
  if (auto ok = set_rank(*call, g->rank); !ok) return done(tl::unexpected<Error>(ok.error()));
  g->call = call;
  g->model = model;
  g->done = std::move(done);
  g->most_under_way = std::max<size_t>(1, model->service->state().slots);
  g->all.vectors.resize(inputs.size());
  g->inputs = std::move(inputs);
  call->exchange->on_gone([weak = std::weak_ptr(g)] {
    const auto alive = weak.lock();
    if (!alive) return;
    std::vector<RequestId> ids;
    {
      const std::lock_guard lock(alive->mutex);
      alive->gone = true;
      ids.swap(alive->ids);
    }
    for (const RequestId id : ids) alive->model->service->cancel(id);
  });
  advance(g);
}

}  // namespace quern::server
