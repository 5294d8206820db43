// The table of endpoints. One row each; the endpoint itself is its file in routes/.
#include "server/route.h"

namespace quern::server {

Route detokenize_route();
Route health_route();
Route metrics_route();
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
      tokenize_route(), detokenize_route(),    template_route(),      health_route(),
      ready_route(),    metrics_route(),       openapi_route(),       stream_socket_route(),
      stream_route(),   stream_resume_route(), stream_delete_route(),
  };
  return kRoutes;
}

}  // namespace quern::server
