// /v1/responses: text in, text out; nothing is stored. Source document:
// platform.openai.com/docs/api-reference/responses and responses-streaming.
#include <algorithm>

#include "base/clock.h"
#include "server/app.h"
#include "server/call.h"
#include "server/generation.h"
#include "server/openai/answer.h"
#include "server/openai/json_text.h"
#include "server/openai/messages.h"
#include "server/openai/prompt_group.h"
#include "server/openai/sampling_members.h"

namespace quern::server {

namespace {

constexpr const char* kStateless = "nothing is stored here: send the whole conversation";
constexpr const char* kNoTools = "tools are called in /v1/chat/completions";
constexpr const char* kMetadataSchema = R"({"type": "object", "additionalProperties": {"type": "string"}})";

struct ResponseBody {
  std::string model;
  Json input, text, metadata = Json::object();
  std::optional<std::string> instructions;
  std::optional<int64_t> max_output_tokens;
  bool stream = false;
  SamplingMembers sampling;
  Json messages;  // made of the input

  void fields(FieldVisitor& v) {
    v.member({"input", "A text, or the messages of a conversation", {.required = true}}, input, kInputSchema);
    v.member({"model", "Name of the model, or \"default\""}, model);
    v.member({"instructions", "A system message in front"}, instructions);
    v.member({"max_output_tokens", "By default what the context holds", {.min = 1}}, max_output_tokens);
    v.member({"stream", "Answer by server-sent events, as the text comes"}, stream);
    v.member({"metadata", "Given back in the answer"}, metadata, kMetadataSchema);
    sampling.fields(v);
    v.member({"text", "format: what the answer must look like"}, text, kTextFormatSchema);
    unsupported(v);
  }

  // As it was asked for.
  [[nodiscard]] Json format() const {
    const auto at = text.find("format");
    return text.is_object() && at != text.end() && !at->is_null() ? *at : Json{{"type", "text"}};
  }

  std::optional<BodyError> take_grammar(Grammars& grammars, Grammar& to) const {
    return read_text_format(format(), "text.format", grammars, to);
  }

  static void unsupported(FieldVisitor& v) {
    v.refuse("previous_response_id", kStateless, {});
    v.refuse("conversation", kStateless, {});
    v.refuse("background", kStateless, {"false"});
    v.refuse("background_options", kStateless, {});
    v.refuse("prompt", "stored prompts are not known here", {});
    v.refuse("context_management", kStateless, {"[]"});
    v.refuse("truncation", "the server's prompt_policy decides about prompts that are too long", {R"("disabled")"});
    v.refuse("tools", kNoTools, {"[]"});
    v.refuse("tool_choice", kNoTools, {R"("none")", R"("auto")"});
    v.refuse("parallel_tool_calls", kNoTools, {"true", "false"});
    v.refuse("max_tool_calls", kNoTools, {});
    v.refuse("include", "an answer has nothing more to include", {"[]"});
    v.refuse("top_logprobs", "chat completions have them", {"0"});
    v.refuse("reasoning", "a model's thinking is not told apart here", {"{}", R"({"effort": "none"})"});
    v.refuse("image", "only text is taken and given", {});
    v.refuse("moderation", "this server moderates nothing", {});
    v.refuse("access_programs", "they are OpenAI's", {});
    v.refuse("stream_options", "events need no padding here",
             {"{}", R"({"include_obfuscation": false})", R"({"include_obfuscation": true})"});
    v.ignore("store", "nothing is stored");
    v.ignore("service_tier", "there is one tier; the header x-quern-priority has the priority");
    v.ignore("user", "keys tell users apart");
    v.ignore("safety_identifier", "keys tell users apart");
    v.ignore("prompt_cache_key", "prefixes are found by their tokens");
    v.ignore("prompt_cache_options", "prefixes are found by their tokens");
    v.ignore("prompt_cache_retention", "prefixes are kept as long as there is room");
  }

  std::optional<BodyError> check() {
    for (const auto& [name, value] : metadata.items()) {
      if (!value.is_string()) return BodyError{"metadata." + name, fmt::format("'metadata.{}' must be a string", name)};
    }
    for (const auto& [name, value] : text.items()) {
      if (name == "format" || (name == "verbosity" && (value.is_null() || value == "medium"))) continue;
      return BodyError{"text." + name, fmt::format("'text.{}' is not supported: only 'text.format' is", name)};
    }
    return input_messages(input, instructions.value_or(""), messages);
  }
};

// One answer on its way: what its objects and events say of it.
class Answer {
 public:
  Answer(std::shared_ptr<Call> call, const ResponseBody& body, const Model& model, size_t removed)
      : call_(std::move(call)), item_id_(answer_id(*call_, "msg_")) {
    response_ = {{"id", answer_id(*call_, "resp_")},
                 {"object", "response"},
                 {"created_at", static_cast<int64_t>(call_->record.time_s)},
                 {"status", "in_progress"},
                 {"background", false},
                 {"error", nullptr},
                 {"incomplete_details", nullptr},
                 {"instructions", body.instructions ? Json(*body.instructions) : Json(nullptr)},
                 {"max_output_tokens", body.max_output_tokens ? Json(*body.max_output_tokens) : Json(nullptr)},
                 {"metadata", body.metadata},
                 {"model", model.name},
                 {"output", Json::array()},
                 {"parallel_tool_calls", false},
                 {"previous_response_id", nullptr},
                 {"store", false},
                 {"temperature", body.sampling.temperature},
                 {"text", {{"format", body.format()}}},
                 {"tool_choice", "none"},
                 {"tools", Json::array()},
                 {"top_p", body.sampling.top_p},
                 {"truncation", removed > 0 ? "auto" : "disabled"},
                 {"usage", nullptr},
                 {"system_fingerprint", fingerprint(model)}};
    delta_open_ = fmt::format(R"(,"item_id":"{}","output_index":0,"content_index":0,"delta":)", item_id_);
  }

  // The response as it ended.
  Json finished(const std::vector<Generation>& done, const std::string& figures) {
    const Completion& c = done[0].completions[0];
    status_ = finish_reason(c.reason) == "stop" ? "completed" : "incomplete";
    const Usage usage = usage_of(done);
    Json r = response_;
    r["status"] = status_;
    r["completed_at"] = static_cast<int64_t>(wall_clock_s());
    if (status_ == "incomplete") {
      r["incomplete_details"] = Json::object();  // of what was cancelled the API knows no reason
      if (c.reason != StopReason::kCancelled) r["incomplete_details"]["reason"] = "max_output_tokens";
    }
    r["output"].push_back(item(status_, part(c.text)));
    r["usage"] = {{"input_tokens", usage.prompt_tokens},
                  {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
                  {"output_tokens", usage.completion_tokens},
                  {"output_tokens_details", {{"reasoning_tokens", 0}}},
                  {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
    r["quern"] = Json::parse(figures);
    return r;
  }

  void stream_delta(std::string_view text) {
    begin();
    if (text.empty()) return;
    std::string event = head("response.output_text.delta");
    event += delta_open_;
    append_json_string(event, text);
    event += R"(,"logprobs":[]})";
    call_->event("response.output_text.delta", event);
  }

  void stream_end(const std::vector<Generation>& done, const std::string& figures) {
    begin();
    const std::string& text = done[0].completions[0].text;
    const Json response = finished(done, figures);
    send_in_item("response.output_text.done", {{"text", text}, {"logprobs", Json::array()}});
    send_in_item("response.content_part.done", {{"part", part(text)}});
    send("response.output_item.done", {{"output_index", 0}, {"item", item(status_, part(text))}});
    send(fmt::format("response.{}", status_), {{"response", response}});
    call_->end();
  }

  void stream_failure(const Error& error) {
    if (begun_) {
      Json response = response_;
      response["status"] = "failed";
      response["error"] = {{"code", "server_error"}, {"message", error.message}};
      send("response.failed", {{"response", response}});
    }
    call_->fail(error);
  }

 private:
  static Json part(std::string_view text) {
    return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  }

  [[nodiscard]] Json item(std::string_view status, Json content) const {
    Json parts = Json::array();
    if (!content.is_null()) parts.push_back(std::move(content));
    return {{"id", item_id_}, {"type", "message"}, {"status", status}, {"role", "assistant"}, {"content", parts}};
  }

  std::string head(std::string_view type) {
    return fmt::format(R"({{"type":"{}","sequence_number":{})", type, sequence_++);
  }

  void send(const std::string& type, const Json& members) {
    const std::string text = dump(members);
    call_->event(type, fmt::format("{},{}", head(type), std::string_view(text).substr(1)));
  }

  void send_in_item(const std::string& type, const Json& more) {
    Json members = {{"item_id", item_id_}, {"output_index", 0}, {"content_index", 0}};
    members.update(more);
    send(type, members);
  }

  void begin() {
    if (begun_) return;
    begun_ = true;
    call_->begin_events();
    send("response.created", {{"response", response_}});
    send("response.in_progress", {{"response", response_}});
    send("response.output_item.added", {{"output_index", 0}, {"item", item("in_progress", nullptr)}});
    send_in_item("response.content_part.added", {{"part", part("")}});
  }

  const std::shared_ptr<Call> call_;
  const std::string item_id_;
  Json response_;
  std::string delta_open_, status_;
  uint64_t sequence_ = 0;
  bool begun_ = false;
};

void generate(const std::shared_ptr<Call>& call, const ResponseBody& body, const std::shared_ptr<Model>& model) {
  const EngineInfo& info = model->engine().info();
  std::vector<ServiceRequest> requests(1);
  GenerateOptions& options = requests[0].options;
  if (auto problem = body.sampling.take(info.n_vocab, options.sampling)) return call->refuse(*problem);
  if (auto problem = body.take_grammar(call->app.grammars, options.grammar)) return call->refuse(*problem);
  auto prompt = chat_prompt(*model, body.messages, nullptr, nullptr);
  if (!prompt) return call->fail(prompt.error());
  auto fit = fit_prompt(*call, *model, std::move(*prompt), 0);
  if (!fit) return call->fail(fit.error());
  if (call->app.config.log_prompts) call->record.prompt = dump(body.messages);
  requests[0].prompt = std::move(fit->ids);
  options.max_tokens = body.max_output_tokens ? static_cast<size_t>(*body.max_output_tokens) : info.n_ctx;
  auto answer = std::make_shared<Answer>(call, body, *model, fit->removed);
  PromptEvents events;
  if (body.stream) events.on_token = [answer](size_t, const TokenEvent& e) { answer->stream_delta(e.text); };
  events.on_end = [call, answer, options, stream = body.stream,
                   removed = fit->removed](Result<std::vector<Generation>> done) {
    if (!done) return stream ? answer->stream_failure(done.error()) : call->fail(done.error());
    if (call->app.config.log_prompts) call->record.answer = (*done)[0].completions[0].text;
    const std::string figures = figures_json(*done, std::span(&removed, 1), options);
    if (stream) return answer->stream_end(*done, figures);
    call->respond(answer->finished(*done, figures));
  };
  start_prompts(call, model, std::move(requests), std::move(events));
}

void respond(const std::shared_ptr<Call>& call) {
  auto body = std::make_shared<ResponseBody>();
  if (!call->read(*body, Unknown::kRefuse)) return;
  if (auto problem = body->check()) return call->refuse(*problem);
  with_model(call, body->model, std::nullopt,
             [call, body](const std::shared_ptr<Model>& model) { generate(call, *body, model); });
}

Json response_answer() {
  return Json::parse(R"({"type": "object", "required": ["id", "object", "created_at", "model", "output", "status"],
    "properties": {"id": {"type": "string"}, "object": {"enum": ["response"]}, "created_at": {"type": "integer"},
    "model": {"type": "string"}, "status": {"enum": ["completed", "incomplete"]}, "output": {"type": "array",
      "items": {"type": "object", "required": ["id", "type", "status", "role", "content"]}},
    "usage": {"type": "object"}, "quern": {"type": "object"}}})");
}

}  // namespace

Route openai_responses_route() {
  return {.method = "POST",
          .path = "/v1/responses",
          .summary = "An answer to a text or a conversation (OpenAI)",
          .handle = respond,
          .body = body_schema<ResponseBody>,
          .response = response_answer,
          .streams = "text/event-stream",
          .answers = {{404, "No such model"}, {504, "The deadline passed"}}};
}

}  // namespace quern::server
