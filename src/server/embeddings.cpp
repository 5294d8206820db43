#include "server/embeddings.h"

#include <cmath>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "server/app.h"
#include "server/embedder.h"
#include "server/generation.h"

namespace quern::server {

namespace {

// The inputs of one call, as they come back.
struct Gathering {
  std::shared_ptr<Call> call;
  std::shared_ptr<Model> model;
  std::function<void(Result<Embeddings>)> done;
  std::mutex mutex;  // results come from the service's thread and, refused, from the embedder's
  Embeddings all;
  size_t left = 0;
  std::optional<Error> error;
};

void normalize(std::vector<float>& vector) {
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  const double length = std::sqrt(sum);
  if (!(length > 0)) return;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
}

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
    if (--g->left > 0) return;
  }
  g->call->record.prompt_tokens = g->all.prompt_tokens;
  g->call->app.limits.charge(*g->call->principal, g->all.prompt_tokens, now_s());
  if (g->error) return g->done(tl::unexpected<Error>(*g->error));
  g->done(std::move(g->all));
}

}  // namespace

void embed(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
           std::vector<std::vector<int32_t>> inputs, std::function<void(Result<Embeddings>)> done) {
  if (inputs.empty()) return done(fail(ErrorCode::kInvalidArgument, "there is no text to embed"));
  call->record.model = model->name;
  ServiceRequest rank;
  if (auto ok = set_rank(*call, rank); !ok) return done(tl::unexpected<Error>(ok.error()));
  auto g = std::make_shared<Gathering>();
  g->call = call;
  g->model = model;
  g->done = std::move(done);
  g->left = inputs.size();
  g->all.vectors.resize(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    ServiceRequest request = rank;
    request.embed = true;
    request.prompt = std::move(inputs[i]);
    model->embedder->submit(std::move(request), [g, i](Result<Generation> result) { take(g, i, std::move(result)); });
  }
}

}  // namespace quern::server
