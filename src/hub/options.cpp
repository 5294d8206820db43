#include "hub/options.h"

#include "os/env.h"
#include "os/paths.h"

namespace quern::hub {

Result<HubOptions> hub_options_from_environment() {
  HubOptions options;
  QUERN_TRY(options.cache_dir, cache_folder());
  if (auto endpoint = env_get("HF_ENDPOINT"); endpoint && !endpoint->empty()) {
    while (endpoint->ends_with('/')) endpoint->pop_back();
    options.endpoint = *endpoint;
  }
  if (auto token = env_get("HF_TOKEN")) options.token = *token;
  // A token goes into a header line: nothing in it may begin another one.
  for (const char c : options.token) {
    if (c <= ' ' || c > '~') return fail(ErrorCode::kInvalidArgument, "HF_TOKEN holds a character that no token has");
  }
  return options;
}

}  // namespace quern::hub
