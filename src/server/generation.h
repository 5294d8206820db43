// start_generation: a request on a model for a call. What the call's client does reaches the engine: it goes away, and
// the request is cancelled; it reads slowly, and the request is paused until it has caught up.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/call.h"
#include "server/models.h"

namespace quern::server {

// Called on the service's thread, in order.
struct GenerationEvents {
  std::function<void(const TokenEvent&)> on_token;  // may be empty
  std::function<void(Result<Generation>)> on_end;   // exactly once, unless starting failed
  // May be empty; once it is true, the request ends at its next token.
  std::shared_ptr<const std::atomic<bool>> stop = nullptr;
};

// Fills in tenant, priority and deadline from the call (its headers x-quern-priority, at most the key's own, and
// x-quern-deadline in seconds), and its record from the result. An error has not been answered, and no event comes.
Status start_generation(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model, ServiceRequest request,
                        GenerationEvents events);

// Tenant, priority and deadline of a call's request, as above.
Status set_rank(const Call& call, ServiceRequest& request);
// The same for a request without a call of its own, from what it asks for.
struct RankWish {
  std::optional<double> priority, deadline_s;
};
void set_rank(const ServerConfig& config, const Principal& principal, const RankWish& wish, ServiceRequest& request);

// What a request that has ended leaves in its record, and takes from its key's rate of tokens.
void record_end(App& app, const Principal& principal, RequestRecord& record, const Result<Generation>& result,
                bool embed = false);

// A prompt as it goes to the model, by the policy for prompts that are too long.
struct PromptFit {
  std::vector<int32_t> ids;
  size_t removed = 0;       // tokens that were cut out
  const char* policy = "";  // by this policy
};
// Told in /metrics alone.
Result<PromptFit> fit_prompt(const Model& model, std::vector<int32_t> ids, size_t n_ctx);
// `n_ctx`: positions that this request may use, 0 the model's. kTooLong with needed and available tokens where the
// policy is to refuse. What was cut is told in the header x-quern-truncated ("middle 1200"), the log and /metrics.
Result<PromptFit> fit_prompt(Call& call, const Model& model, std::vector<int32_t> ids, size_t n_ctx);

// Messages by the model's template, as token ids; `extra` holds more variables of the template. kUnsupported where the
// model has none.
Result<std::vector<int32_t>> chat_prompt(const Model& model, const Json& messages, const Json& tools, const Json& extra,
                                         bool add_generation_prompt = true);
// The same as text.
Result<std::string> chat_text(const Model& model, const Json& messages, const Json& tools, const Json& extra,
                              bool add_generation_prompt = true);

// A text whose first token is the model's own beginning, without doubling it.
std::vector<int32_t> tokenize_prompt(const Engine& engine, std::string_view text);

// Waits for the model, then calls `then` on a worker thread; answers the call itself where there is none.
void with_model(const std::shared_ptr<Call>& call, const std::string& name, std::optional<double> keep_alive,
                std::function<void(std::shared_ptr<Model>)> then);

}  // namespace quern::server
