// The table of endpoints. One row each; the endpoint itself is its file in routes/.
#include "server/route.h"

namespace quern::server {

Route detokenize_route();
Route health_route();
Route metrics_route();
Route openai_chat_route();
Route openai_completions_route();
Route openai_embeddings_route();
Route openai_model_route();
Route openai_models_route();
Route openai_responses_route();
Route openapi_route();
Route ready_route();
Route template_route();
Route tokenize_route();

std::span<const Route> routes() {
  static const std::vector<Route> kRoutes = {
      tokenize_route(),
      detokenize_route(),
      template_route(),
      health_route(),
      ready_route(),
      metrics_route(),
      openapi_route(),
      openai_models_route(),
      openai_model_route(),
      openai_chat_route(),
      openai_completions_route(),
      openai_embeddings_route(),
      openai_responses_route(),
  };
  return kRoutes;
}

}  // namespace quern::server
