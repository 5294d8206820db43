// ChoiceStream: chat completions and completions as server-sent events: an event for each piece of text, at the end one
// for each choice with its reason, then the usage where it was asked for, then [DONE].
//
// Runs where the prompts' events do (prompt_group.h), one call at a time. An event is put together from pieces that are
// made once, no JSON tree for each token. The answer begins with the first token: what fails before has its status
// code.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/generation.h"
#include "server/openai/logprobs.h"

namespace quern::server {

struct StreamShape {
  bool chat = true;
  std::string head;                 // answer_head()
  std::vector<std::string> echoes;  // of each prompt, sent first; empty: none
  size_t n_prompts = 1;
  unsigned n = 1;     // choices of each
  int logprobs = -1;  // alternatives to show; < 0: none, not even the token's own
  bool include_usage = false;
};

class ChoiceStream {
 public:
  ChoiceStream(std::shared_ptr<Call> call, std::shared_ptr<Model> model, StreamShape shape);

  void token(size_t prompt, const TokenEvent& event);
  // `usage` and `figures` as JSON.
  void end(const std::vector<Generation>& generations, std::string_view usage, std::string_view figures);

 private:
  void begin();
  void send(size_t choice, std::string_view text, std::string_view logprobs);

  const std::shared_ptr<Call> call_;
  const std::shared_ptr<Model> model_;
  const StreamShape shape_;
  std::string open_;                    // up to a choice's index
  std::vector<LogprobLists> logprobs_;  // of completions, by choice: they count the text
  bool begun_ = false;
};

}  // namespace quern::server
