// /v1/responses: texts, function calls and reasoning, in and out as items; nothing is stored. Source document:
// platform.openai.com/docs/api-reference/responses and responses-streaming.
#include <algorithm>

#include "base/clock.h"
#include "server/app.h"
#include "server/call.h"
#include "server/generation.h"
#include "server/openai/answer.h"
#include "server/openai/prompt_group.h"
#include "server/openai/response_input.h"
#include "server/openai/response_output.h"
#include "server/openai/sampling_members.h"
#include "server/tools/chat_turn.h"
#include "server/tools/thinking.h"

namespace quern::server {

namespace {

constexpr const char* kStateless = "nothing is stored here: send the whole conversation";
constexpr const char* kMetadataSchema = R"({"type": "object", "additionalProperties": {"type": "string"}})";
constexpr const char* kReasoningSchema = R"({"type": ["object", "null"], "properties": {
  "effort": {"enum": ["none", "low", "medium", "high", null]}}, "additionalProperties": {"type": "null"}})";

struct ResponseBody {
  std::string model;
  Json input, text, metadata = Json::object(), tools = Json::array(), tool_choice, reasoning;
  std::optional<std::string> instructions;
  std::optional<int64_t> max_output_tokens;
  bool stream = false, parallel_tool_calls = true;
  SamplingMembers sampling;
  // Made of the members by check().
  Json messages, think;
  ToolWish wish;

  void fields(FieldVisitor& v) {
    v.member({"input", "A text, or the items of a conversation", {.required = true}}, input, kInputSchema);
    v.member({"model", "Name of the model, or \"default\""}, model);
    v.member({"instructions", "A system message in front"}, instructions);
    v.member({"max_output_tokens", "By default what the context holds", {.min = 1}}, max_output_tokens);
    v.member({"stream", "Answer by server-sent events, as the text comes"}, stream);
    v.member({"metadata", "Given back in the answer"}, metadata, kMetadataSchema);
    sampling.fields(v);
    v.member({"text", "format: what the answer must look like"}, text, kTextFormatSchema);
    v.member({"tools", "Functions that the model may call"}, tools, kFlatToolsSchema);
    v.member({"tool_choice", "none, auto, required, or the function to call; auto where there are tools"}, tool_choice,
             kFlatToolChoiceSchema);
    v.member({"parallel_tool_calls", "false: at most one call in an answer"}, parallel_tool_calls);
    v.member({"reasoning", "effort: whether the model thinks first, and how much"}, reasoning, kReasoningSchema);
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
    v.refuse("include", "an answer has nothing more to include", {"[]"});
    v.refuse("top_logprobs", "chat completions have them", {"0"});
    v.refuse("image", "only text is taken and given", {});
    v.refuse("moderation", "this server moderates nothing", {});
    v.refuse("access_programs", "they are OpenAI's", {});
    v.refuse("stream_options", "events need no padding here",
             {"{}", R"({"include_obfuscation": false})", R"({"include_obfuscation": true})"});
    v.ignore("max_tool_calls", "it counts the calls of built-in tools, and there are none");
    v.ignore("store", "nothing is stored");
    v.ignore("service_tier", "there is one tier; the header x-quern-priority has the priority");
    v.ignore("user", "keys tell users apart");
    v.ignore("safety_identifier", "keys tell users apart");
    v.ignore("prompt_cache_key", "prefixes are found by their tokens");
    v.ignore("prompt_cache_options", "prefixes are found by their tokens");
    v.ignore("prompt_cache_retention", "prefixes are kept as long as there is room");
  }

  // With the tools of `store`.
  std::optional<BodyError> check(ToolStore& store) {
    for (const auto& [name, value] : metadata.items()) {
      if (!value.is_string()) return BodyError{"metadata." + name, fmt::format("'metadata.{}' must be a string", name)};
    }
    for (const auto& [name, value] : text.items()) {
      if (name == "format" || (name == "verbosity" && (value.is_null() || value == "medium"))) continue;
      return BodyError{"text." + name, fmt::format("'text.{}' is not supported: only 'text.format' is", name)};
    }
    if (auto problem = read_reasoning()) return problem;
    if (auto problem = read_tools(tools, tool_choice, parallel_tool_calls, store, wish, ToolShape::kFlat))
      return problem;
    if (wish.offered() && format() != Json{{"type", "text"}}) {
      return BodyError{"text.format",
                       "'text.format' and 'tools' cannot be held at once: leave one of them out, or say tool_choice "
                       "\"none\""};
    }
    return input_messages(input, instructions.value_or(""), messages);
  }

  std::optional<BodyError> read_reasoning() {
    for (const auto& [name, value] : reasoning.items()) {
      if (value.is_null()) continue;
      const std::string place = "reasoning." + name;
      if (name != "effort") {
        return BodyError{place, fmt::format("'{}' is not supported: what the model thinks is given as it is", place)};
      }
      think = value == "none" ? Json(false) : value;
      if (value.is_boolean() || check_think(think)) {
        return BodyError{place, fmt::format("'{}' must be none, low, medium or high", place)};
      }
    }
    return std::nullopt;
  }
};

// One answer on its way: what its objects and events say of it.
class Answer {
 public:
  Answer(std::shared_ptr<Call> call, const ResponseBody& body, const Model& model, ReplyReader reader, size_t removed)
      : call_(std::move(call)),
        stream_(body.stream),
        reader_(std::move(reader)),
        output_(answer_id(*call_, ""), teller()) {
    if (reader_) parser_ = reader_.parser(0);
    const auto given = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
    response_ = {{"id", answer_id(*call_, "resp_")},
                 {"object", "response"},
                 {"created_at", static_cast<int64_t>(call_->record.time_s)},
                 {"status", "in_progress"},
                 {"background", false},
                 {"error", nullptr},
                 {"incomplete_details", nullptr},
                 {"instructions", given(body.instructions)},
                 {"max_output_tokens", given(body.max_output_tokens)},
                 {"metadata", body.metadata},
                 {"model", model.name},
                 {"output", Json::array()},
                 {"parallel_tool_calls", body.parallel_tool_calls},
                 {"previous_response_id", nullptr},
                 {"reasoning", body.reasoning.is_null() ? Json::object() : body.reasoning},
                 {"store", false},
                 {"temperature", body.sampling.temperature},
                 {"text", {{"format", body.format()}}},
                 {"tool_choice", body.tool_choice.is_null() ? Json("auto") : body.tool_choice},
                 {"tools", body.tools},
                 {"top_p", body.sampling.top_p},
                 {"truncation", removed > 0 ? "auto" : "disabled"},
                 {"usage", nullptr},
                 {"system_fingerprint", fingerprint(model)}};
  }

  void token(const TokenEvent& e) {
    if (stream_) begin();
    if (!parser_) {
      if (stream_) output_.add_text(e.text);
      return;
    }
    const bool thinking = parser_->in_reasoning();
    const std::vector<tools::Delta> deltas = parser_->feed(e.text);
    if (!e.end && (thinking || parser_->in_reasoning())) ++reasoning_tokens_;
    if (!stream_) return;
    for (const tools::Delta& delta : deltas) output_.add(delta);
  }

  void end(Result<std::vector<Generation>> done, const GenerateOptions& options, size_t removed) {
    if (!done) return failed(done.error());
    const Completion& c = (*done)[0].completions[0];
    if (call_->app.config.log_prompts) call_->record.answer = c.text;
    if (stream_) begin();
    const ParsedReply reply = whole(c);
    Json figures = Json::parse(figures_json(*done, std::span(&removed, 1), options));
    if (!reply.problems.empty()) figures["call_problems"] = reply.problems;
    const Json response = finished(c.reason, usage_of(*done), std::move(figures));
    if (!stream_) return call_->respond(response);
    send(fmt::format("response.{}", response["status"].get_ref<const std::string&>()), {{"response", response}});
    call_->end();
  }

 private:
  ResponseOutput::Tell teller() {
    if (!stream_) return {};
    return [this](std::string_view type, std::string_view members) { send_text(type, members); };
  }

  // Of a stream what was held back is told now; else all of it becomes items.
  ParsedReply whole(const Completion& c) {
    ParsedReply reply;
    std::vector<tools::Delta> rest;
    if (parser_) {
      reply = parser_->finish(&rest);
      keep_calls(*call_, reader_, c, reply);
    } else {
      reply.content = c.text;
    }
    if (!stream_) output_.add(reply);
    for (size_t i = 0; stream_ && i < rest.size(); ++i) output_.add(rest[i]);
    return reply;
  }

  // The response as it ended.
  Json finished(StopReason reason, const Usage& usage, Json figures) {
    const char* status = finish_reason(reason) == "stop" ? "completed" : "incomplete";
    Json r = response_;
    r["status"] = status;
    r["completed_at"] = static_cast<int64_t>(wall_clock_s());
    if (r["status"] == "incomplete") {
      r["incomplete_details"] = Json::object();  // of what was cancelled the API knows no reason
      if (reason != StopReason::kCancelled) r["incomplete_details"]["reason"] = "max_output_tokens";
    }
    r["output"] = output_.finish(status);
    r["usage"] = {{"input_tokens", usage.prompt_tokens},
                  {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
                  {"output_tokens", usage.completion_tokens},
                  {"output_tokens_details", {{"reasoning_tokens", reasoning_tokens_}}},
                  {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
    r["quern"] = std::move(figures);
    return r;
  }

  void failed(const Error& error) {
    if (begun_) {
      Json response = response_;
      response["status"] = "failed";
      response["error"] = {{"code", "server_error"}, {"message", error.message}};
      send("response.failed", {{"response", response}});
    }
    call_->fail(error);
  }

  // `members` as they follow others.
  void send_text(std::string_view type, std::string_view members) {
    call_->event(type, fmt::format(R"({{"type":"{}","sequence_number":{}{}}})", type, sequence_++, members));
  }

  void send(std::string_view type, const Json& members) {
    const std::string text = dump(members);
    send_text(type, "," + text.substr(1, text.size() - 2));
  }

  void begin() {
    if (begun_) return;
    begun_ = true;
    call_->begin_events();
    send("response.created", {{"response", response_}});
    send("response.in_progress", {{"response", response_}});
  }

  const std::shared_ptr<Call> call_;
  const bool stream_;
  const ReplyReader reader_;
  std::unique_ptr<tools::ReplyParser> parser_;  // null: all is text
  ResponseOutput output_;
  Json response_;
  uint64_t sequence_ = 0, reasoning_tokens_ = 0;
  bool begun_ = false;
};

void generate(const std::shared_ptr<Call>& call, const ResponseBody& body, const std::shared_ptr<Model>& model) {
  const EngineInfo& info = model->engine().info();
  std::vector<ServiceRequest> requests(1);
  GenerateOptions& options = requests[0].options;
  if (auto problem = body.sampling.take(info.n_vocab, options.sampling)) return call->refuse(*problem);
  if (auto problem = body.take_grammar(call->app.grammars, options.grammar)) return call->refuse(*problem);
  auto extra = think_variables(body.think, "reasoning.effort", *model);
  if (!extra) return call->refuse({"reasoning.effort", extra.error().message});
  auto turn = turn_text(*call, *model, body.wish, body.messages, *extra);
  if (!turn) return call->fail(turn.error());
  auto reader = hold_reply(*call, model, body.wish, turn->text, options);
  if (!reader) return call->refuse({"tools", fmt::format("'tools': {}", reader.error().message)});
  auto fit = fit_prompt(*call, *model, turn_ids(model->engine(), *turn), 0);
  if (!fit) return call->fail(fit.error());
  if (call->app.config.log_prompts) call->record.prompt = dump(body.messages);
  requests[0].prompt = std::move(fit->ids);
  options.max_tokens = body.max_output_tokens ? static_cast<size_t>(*body.max_output_tokens) : info.n_ctx;
  const bool reads = static_cast<bool>(*reader);
  auto answer = std::make_shared<Answer>(call, body, *model, std::move(*reader), fit->removed);
  PromptEvents events;
  if (body.stream || reads) events.on_token = [answer](size_t, const TokenEvent& e) { answer->token(e); };
  events.on_end = [answer, options, removed = fit->removed](Result<std::vector<Generation>> done) {
    answer->end(std::move(done), options, removed);
  };
  start_prompts(call, model, std::move(requests), std::move(events));
}

void respond(const std::shared_ptr<Call>& call) {
  auto body = std::make_shared<ResponseBody>();
  if (!call->read(*body, Unknown::kRefuse)) return;
  if (auto problem = body->check(call->app.tool_store)) return call->refuse(*problem);
  with_model(call, body->model, std::nullopt,
             [call, body](const std::shared_ptr<Model>& model) { generate(call, *body, model); });
}

Json response_answer() {
  return Json::parse(R"({"type": "object", "required": ["id", "object", "created_at", "model", "output", "status"],
    "properties": {"id": {"type": "string"}, "object": {"enum": ["response"]}, "created_at": {"type": "integer"},
    "model": {"type": "string"}, "status": {"enum": ["completed", "incomplete"]}, "output": {"type": "array",
      "items": {"type": "object", "required": ["id", "type", "status"], "properties": {
        "type": {"enum": ["reasoning", "message", "function_call"]}}}},
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
