// The table of endpoints. One row each; the endpoint itself is its file in routes/.
#include "server/route.h"

namespace quern::server {

Route detokenize_route();
Route health_route();
Route metrics_route();
Route ollama_blobs_route();
Route ollama_chat_route();
Route ollama_check_blob_route();
Route ollama_copy_route();
Route ollama_create_route();
Route ollama_delete_route();
Route ollama_embed_route();
Route ollama_embeddings_route();
Route ollama_generate_route();
Route ollama_ps_route();
Route ollama_pull_route();
Route ollama_push_route();
Route ollama_root_route();
Route ollama_show_route();
Route ollama_tags_route();
Route ollama_version_route();
Route openai_chat_route();
Route openai_completions_route();
Route openai_embeddings_route();
Route openai_model_route();
Route openai_models_route();
Route openai_responses_route();
Route openapi_route();
Route ready_route();
Route stream_delete_route();
Route stream_resume_route();
Route stream_route();
Route stream_socket_route();
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
      ollama_root_route(),
      ollama_version_route(),
      ollama_tags_route(),
      ollama_ps_route(),
      ollama_show_route(),
      ollama_generate_route(),
      ollama_chat_route(),
      ollama_embed_route(),
      ollama_embeddings_route(),
      ollama_pull_route(),
      ollama_copy_route(),
      ollama_delete_route(),
      ollama_create_route(),
      ollama_push_route(),
      ollama_blobs_route(),
      ollama_check_blob_route(),
      stream_socket_route(),
      stream_route(),
      stream_resume_route(),
      stream_delete_route(),
  };
  return kRoutes;
}

}  // namespace quern::server
