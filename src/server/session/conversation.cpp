#include "server/session/conversation.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "sample/options.h"

namespace quern::server {

namespace {

constexpr double kMaxTokens = INT32_MAX;
constexpr double kMaxBias = 100;  // as in OpenAI's APIs
constexpr const char* kMessagesSchema = R"({"type": "array", "minItems": 1, "items": {"type": "object",
  "properties": {"role": {"type": "string"}}, "required": ["role"]}})";
constexpr const char* kBiasSchema = R"({"type": "object", "additionalProperties": {"type": "number"}})";

std::optional<int32_t> token_id(std::string_view text) {
  int32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool good = error == std::errc{} && end == text.data() + text.size() && id >= 0;
  return good ? std::optional(id) : std::nullopt;
}

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
  visit_sampling_options(sampling, [&](const OptionInfo& info, auto& field) {
    using Field = std::remove_reference_t<decltype(field)>;
    if (info.name == "seed" || info.name == "logprobs") return;  // below, as OpenAI's APIs have them
    const MemberInfo member{info.name, info.help, {.min = info.min, .max = info.max}};
    if constexpr (std::is_floating_point_v<Field>) {
      double value = static_cast<double>(field);
      v.member(member, value);
      field = static_cast<Field>(value);
    } else {
      int64_t value = field;
      v.member(member, value);
      field = static_cast<Field>(value);
    }
  });
  v.member({"seed", "The same seed gives the same text; absent: another each time"}, seed);
  v.member({"max_tokens", "Most tokens of an answer", {.min = 1, .max = kMaxTokens}}, max_tokens);
  v.member({"max_completion_tokens", "The same", {.min = 1, .max = kMaxTokens}}, max_tokens);
  v.member({"stop", "Texts that end an answer"}, stop);
  v.member({"stateful", "Remember the messages and answers for further turns"}, stateful);
  v.member({"acks", "WebSocket: keep each event until an ack, and stop replay_window events ahead of it"}, acks);
  v.member({"logprobs", "Tell each token's log-probability"}, logprobs);
  v.member({"top_logprobs", "And those of so many likely ones; wants logprobs", {.min = 0, .max = 1024}}, top_logprobs);
  v.member({"return_ids", "Tell each token's id"}, return_ids);
  v.member({"logit_bias", "Added to the logits of tokens, by id"}, logit_bias, kBiasSchema);
  v.member({"ignore_eos", "Go on after the model's end token"}, ignore_eos);
  v.member({"chat_template_kwargs", "More variables of the chat template"}, chat_template_kwargs,
           R"({"type": "object"})");
  v.member({"priority", "0 to 9, higher first; at most the key's own", {.min = 0, .max = 9}}, priority);
  v.member({"deadline", "Seconds that a turn may take", {.min = 0, .max = 1e6}}, deadline);
  v.refuse("n", "a session has one answer at a time", {"1"});
  v.refuse("tools", "use /v1/chat/completions", {"[]"});
  v.refuse("tool_choice", "use /v1/chat/completions", {"\"none\"", "\"auto\""});
  v.refuse("response_format", "use /v1/chat/completions", {R"({"type":"text"})"});
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

std::optional<BodyError> StartBody::check() const {
  const bool has_messages = !messages.is_null();
  if (has_messages == prompt.has_value()) {
    return BodyError{"messages",
                     has_messages ? "'messages' and 'prompt' exclude each other" : "'messages' or 'prompt' is needed"};
  }
  if (has_messages && messages.empty()) return BodyError{"messages", "'messages' is empty"};
  if (has_messages) {
    for (const Json& m : messages) {
      const bool good = m.is_object() && m.contains("role") && m["role"].is_string();
      if (!good) return BodyError{"messages", "each of 'messages' is an object with a 'role'"};
    }
  }
  if (options.top_logprobs > 0 && !options.logprobs) {
    return BodyError{"top_logprobs", "'top_logprobs' wants 'logprobs': true"};
  }
  if (!options.logit_bias.is_object()) return std::nullopt;
  for (const auto& [id, bias] : options.logit_bias.items()) {
    if (token_id(id) && bias.is_number() && std::fabs(bias.get<double>()) <= kMaxBias) continue;
    return BodyError{"logit_bias",
                     fmt::format("'logit_bias' maps token ids to numbers from -{0} to {0}; see '{1}'", kMaxBias, id)};
  }
  return std::nullopt;
}

size_t Conversation::bytes() const {
  return json_bytes(messages) + text.size() + kept_text.size() + kept_ids.size() * sizeof(int32_t);
}

std::vector<LogitBias> read_logit_bias(const Json& object) {
  std::vector<LogitBias> all;
  if (!object.is_object()) return all;
  for (const auto& [id, bias] : object.items()) {
    if (const auto token = token_id(id)) all.push_back({.id = *token, .bias = bias.get<float>()});
  }
  return all;
}

}  // namespace quern::server
