#include "server/session/conversation.h"

#include "server/grammars.h"
#include "server/openai/messages.h"
#include "server/tools/tool_wish.h"

namespace quern::server {

namespace {

constexpr double kMaxTokens = INT32_MAX;

// Of the strings and names in it, and what their nodes take.
size_t json_bytes(const Json& value) {
  size_t bytes = sizeof(Json);
  if (value.is_string()) bytes += value.get_ref<const std::string&>().size();
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) bytes += name.size() + sizeof(std::string) + json_bytes(member);
  } else if (value.is_array()) {
    for (const Json& item : value) bytes += json_bytes(item);
  }
  return bytes;
}

}  // namespace

void StreamOptions::fields(FieldVisitor& v) {
  v.member({"model", "Name of the model; absent: the first"}, model);
  sampling.fields(v);
  v.member({"max_tokens", "Most tokens of an answer", {.min = 1, .max = kMaxTokens}}, max_tokens);
  v.member({"max_completion_tokens", "The same", {.min = 1, .max = kMaxTokens}}, max_tokens);
  v.member({"stop", "Texts that end an answer"}, stop);
  v.member({"stateful", "Remember the messages and answers for further turns"}, stateful);
  v.member({"acks", "WebSocket: keep each event until an ack, and stop replay_window events ahead of it"}, acks);
  v.member({"logprobs", "Tell each token's log-probability"}, logprobs);
  v.member({"top_logprobs", "And those of so many likely ones; wants logprobs", {.min = 0, .max = 1024}}, top_logprobs);
  v.member({"return_ids", "Tell each token's id"}, return_ids);
  v.member({"ignore_eos", "Go on after the model's end token"}, ignore_eos);
  v.member({"chat_template_kwargs", "More variables of the chat template"}, chat_template_kwargs,
           R"({"type": "object"})");
  v.member({"priority", "0 to 9, higher first; at most the key's own", {.min = 0, .max = 9}}, priority);
  v.member({"deadline", "Seconds that a turn may take", {.min = 0, .max = 1e6}}, deadline);
  v.refuse("n", "a session has one answer at a time", {"1"});
  v.member({"tools", "Functions that the model may call; an empty array: none any more"}, tools, kToolsSchema);
  v.member({"tool_choice", "none, auto, required, or the function to call"}, tool_choice, kToolChoiceSchema);
  v.member({"parallel_tool_calls", "false: at most one call in an answer"}, parallel_tool_calls);
  v.member({"response_format", "What the answer must look like"}, response_format, kResponseFormatSchema);
  v.refuse("echo", "the prompt is not sent back", {"false"});
  v.refuse("stream", "a session always streams", {"true"});
}

void StartBody::fields(FieldVisitor& v) {
  v.member({"session", "A stateful session: the messages are appended to it"}, session);
  v.member({"ref", "Comes back in the answer to this message"}, ref);
  v.member({"messages", "The conversation, or what is new of it"}, messages, kMessagesSchema);
  v.member({"prompt", "Text to continue, instead of messages"}, prompt);
  options.fields(v);
}

std::optional<BodyError> StartBody::check() {
  const bool has_messages = !messages.is_null();
  if (has_messages == prompt.has_value()) {
    return BodyError{"messages",
                     has_messages ? "'messages' and 'prompt' exclude each other" : "'messages' or 'prompt' is needed"};
  }
  if (options.top_logprobs > 0 && !options.logprobs) {
    return BodyError{"top_logprobs", "'top_logprobs' wants 'logprobs': true"};
  }
  if (!has_messages) return std::nullopt;
  if (auto problem = plain_messages(messages)) return problem;
  return check_tool_messages(messages);
}

size_t Conversation::bytes() const {
  return json_bytes(messages) + json_bytes(options.tools) + text.size() + kept_text.size() +
         kept_ids.size() * sizeof(int32_t);
}

}  // namespace quern::server
