// ChoiceStream: chat completions and completions as server-sent events: an event for each piece of text, at the end one
// for each choice with its reason, then the usage where it was asked for, then [DONE].
//
// Runs where the prompts' events do (prompt_group.h), one call at a time. An event is put together from pieces that are
// made once, no JSON tree for each token. The answer begins with the first token: what fails before has its status
// code.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chat/tools/reply_parser.h"
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
  // Of chats: what takes a choice's text apart; empty: all of it is content.
  std::function<std::unique_ptr<tools::ReplyParser>(size_t choice)> parser = {};
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
  // `member`: of a delta, or of a completion its text.
  void send_member(size_t choice, std::string_view member, std::string_view logprobs);
  void send_deltas(size_t choice, const std::vector<tools::Delta>& deltas, std::string_view logprobs);
  std::string end_of(size_t choice, StopReason reason);

  const std::shared_ptr<Call> call_;
  const std::shared_ptr<Model> model_;
  const StreamShape shape_;
  std::string open_;                                          // up to a choice's index
  std::vector<LogprobLists> logprobs_;                        // of completions, by choice: they count the text
  std::vector<std::unique_ptr<tools::ReplyParser>> parsers_;  // by choice, or none
  bool begun_ = false;
};

}  // namespace quern::server
