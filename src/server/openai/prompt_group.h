// start_prompts: the prompts of one request, each a generation of its own, with one end.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/generation.h"

namespace quern::server {

// Called one at a time, on the service's thread, or where a prompt is refused on the caller's; not after on_end.
struct PromptEvents {
  std::function<void(size_t prompt, const TokenEvent&)> on_token;  // may be empty
  // Once. The first prompt that fails ends them all.
  std::function<void(Result<std::vector<Generation>>)> on_end;
};

void start_prompts(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
                   std::vector<ServiceRequest> requests, PromptEvents events);

}  // namespace quern::server
