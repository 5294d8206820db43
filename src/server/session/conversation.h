// Conversation: what a streaming session knows between its turns, and the members of the message that begins one. Plain
// values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/body.h"
#include "server/openai/sampling_members.h"

namespace quern::server {

// How a session's turns are generated.
struct StreamOptions {
  std::string model;
  SamplingMembers sampling;
  std::optional<int64_t> max_tokens, priority;
  std::optional<double> deadline;
  std::vector<std::string> stop;
  bool stateful = false, acks = false, ignore_eos = false, logprobs = false, return_ids = false;
  int64_t top_logprobs = 0;
  Json chat_template_kwargs, response_format, tools = Json::array(), tool_choice;
  bool parallel_tool_calls = true;

  void fields(FieldVisitor& v);
};

// {"type":"start"} without its type, and the body of POST /v1/stream.
struct StartBody {
  std::string session, ref;
  Json messages;
  std::optional<std::string> prompt;
  StreamOptions options;

  void fields(FieldVisitor& v);
  // What the table cannot say: exactly one of messages and prompt. Makes the messages plain (openai/messages.h).
  std::optional<BodyError> check();
};

struct Conversation {
  StreamOptions options;
  bool chat = true;               // messages, else text
  Json messages = Json::array();  // with the answers
  std::string text;               // of prompts and answers
  // The last turn's prompt with its answer, as the model saw it: a prompt that begins with kept_text begins with
  // kept_ids, whose keys and values may still be there. Tokenized anew, an answer could become other tokens.
  std::string kept_model, kept_text;
  std::vector<int32_t> kept_ids;

  [[nodiscard]] size_t bytes() const;  // about
};

}  // namespace quern::server
