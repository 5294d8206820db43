// run: the text that a model writes for /api/generate or /api/chat, as Ollama answers: one JSON object, or a stream of
// lines that ends with one that has the figures.
//
// The stream begins with its first token, so that a request that cannot run is answered with its own status.
// Source: Ollama's docs/api.md, "Generate a completion" and "Generate a chat completion".
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/call.h"
#include "server/models.h"
#include "server/ollama/options.h"
#include "server/tools/chat_turn.h"

namespace quern::server::ollama {

// What both requests have in common.
struct TextBody {
  std::string model;
  bool stream = true, logprobs = false;
  int64_t top_logprobs = 0;
  Json options_json, keep_alive_json, format_json, think;
  std::optional<bool> truncate;

  // Made of those above by read().
  Options options;
  std::optional<double> keep_alive;
  Grammar grammar;

  void fields(FieldVisitor& v);
  // After the members: false when something was wrong and has been answered.
  bool read(Call& call);
};

struct Run {
  std::shared_ptr<Call> call;
  std::shared_ptr<Model> model;
  std::string name;  // of the model, as it was asked for
  bool chat = false, stream = true;
  int32_t logprobs = -1;  // alternatives of each token; -1: none are told
  double start = 0;       // monotonic seconds, of the request
  double load_seconds = 0;
  std::vector<int32_t> prompt;
  GenerateOptions options;
  ReplyReader reader;  // where replies are more than content
  bool show_thinking = true;
};

// Waits for the model and calls `then` with everything but the prompt, on a worker thread; answers the call itself
// where there is no such model or it cannot do what is asked. `start` is the time of the request.
void with_run(const std::shared_ptr<Call>& call, const TextBody& body, double start, std::function<void(Run)> then);

// The answer to a request without a prompt: loads the model, or unloads it where keep_alive is 0.
void load_or_unload(const std::shared_ptr<Call>& call, const TextBody& body, bool chat);

// Any thread. Answers the call, now or on the service's thread.
void run(Run r);

// Cuts or refuses a prompt that is too long, by the server's policy; `truncate` false always refuses. Fills in
// r.prompt.
Status fit(Run& r, std::vector<int32_t> ids, std::optional<bool> truncate);

// JSON schema of the answers.
Json reply_schema(bool chat);

uint64_t nanoseconds(double seconds);

}  // namespace quern::server::ollama
