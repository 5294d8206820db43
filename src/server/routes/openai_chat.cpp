// /v1/chat/completions. Source document: platform.openai.com/docs/api-reference/chat/create.
#include "server/app.h"
#include "server/call.h"
#include "server/generation.h"
#include "server/openai/answer.h"
#include "server/openai/choice_stream.h"
#include "server/openai/generation_members.h"
#include "server/openai/json_text.h"
#include "server/openai/messages.h"
#include "server/openai/prompt_group.h"
#include "server/tools/chat_turn.h"
#include "server/tools/reply_json.h"

namespace quern::server {

namespace {

constexpr const char* kOldTools = "functions are 'tools' of type function now, and 'function_call' is 'tool_choice'";
constexpr const char* kTextOnly = "only text is taken and given";

struct ChatBody {
  GenerationMembers common;
  Json messages, chat_template_kwargs, tools = Json::array(), tool_choice;
  bool parallel_tool_calls = true;
  std::optional<int64_t> max_tokens, max_completion_tokens;
  bool logprobs = false, continue_final_message = false;
  int64_t top_logprobs = 0;
  std::optional<bool> add_generation_prompt;
  ToolWish wish;  // made of the members by check()

  void fields(FieldVisitor& v) {
    v.member({"messages", "The conversation", {.required = true}}, messages, kMessagesSchema);
    common.fields(v);
    v.member({"max_tokens", "Most tokens of an answer; by default what the context holds", {.min = 1}}, max_tokens);
    v.member({"max_completion_tokens", "The same by its newer name", {.min = 1}}, max_completion_tokens);
    v.member({"logprobs", "Tell the log-probability of each token"}, logprobs);
    v.member({"top_logprobs", "And of that many alternatives", {.min = 0, .max = 20}}, top_logprobs);
    v.member({"continue_final_message", "Continue the last message, the assistant's, instead of a new one"},
             continue_final_message);
    v.member({"add_generation_prompt", "End with the beginning of an answer; true unless a message is continued"},
             add_generation_prompt);
    v.member({"chat_template_kwargs", "More variables of the template"}, chat_template_kwargs, R"({"type": "object"})");
    v.member({"tools", "Functions that the model may call"}, tools, kToolsSchema);
    v.member({"tool_choice", "none, auto, required, or the function to call; auto where there are tools"}, tool_choice,
             kToolChoiceSchema);
    v.member({"parallel_tool_calls", "false: at most one call in an answer"}, parallel_tool_calls);
    unsupported(v);
  }

  static void unsupported(FieldVisitor& v) {
    v.refuse("functions", kOldTools, {"[]"});
    v.refuse("function_call", kOldTools, {R"("none")", R"("auto")"});
    v.refuse("modalities", kTextOnly, {R"(["text"])"});
    v.refuse("audio", kTextOnly, {});
    v.refuse("prediction", "predicted output is not used", {});
    v.refuse("reasoning_effort", "a template's own switch goes into chat_template_kwargs", {R"("none")"});
    v.refuse("verbosity", "ask for it in the messages", {R"("medium")"});
    v.refuse("web_search_options", "this server does not ask the web", {});
    v.refuse("moderation", "this server moderates nothing", {});
    v.ignore("metadata", "nothing is stored");
    v.ignore("store", "nothing is stored");
    v.ignore("service_tier", "there is one tier; the header x-quern-priority has the priority");
    v.ignore("safety_identifier", "keys tell users apart");
    v.ignore("prompt_cache_key", "prefixes are found by their tokens");
    v.ignore("prompt_cache_options", "prefixes are found by their tokens");
    v.ignore("prompt_cache_retention", "prefixes are kept as long as there is room");
  }

  // With the tools of `store`.
  std::optional<BodyError> check(ToolStore& store) {
    if (auto problem = plain_messages(messages)) return problem;
    if (auto problem = check_tool_messages(messages)) return problem;
    if (auto problem = read_tools(tools, tool_choice, parallel_tool_calls, store, wish)) return problem;
    if (wish.offered() && common.wants_format()) {
      return BodyError{
          "response_format",
          "'response_format' and 'tools' cannot be held at once: leave one of them out, or say tool_choice "
          "\"none\""};
    }
    if (auto problem = common.check()) return problem;
    if (max_tokens && max_completion_tokens && *max_tokens != *max_completion_tokens) {
      return BodyError{"max_completion_tokens",
                       "'max_tokens' and 'max_completion_tokens' are two names of one thing, and differ"};
    }
    if (top_logprobs > 0 && !logprobs) return BodyError{"top_logprobs", "'top_logprobs' needs 'logprobs': true"};
    if (!continue_final_message) return std::nullopt;
    if (messages.back()["role"] != "assistant") {
      return BodyError{"continue_final_message", "'continue_final_message' needs a last message of the assistant"};
    }
    if (add_generation_prompt.value_or(false)) {
      return BodyError{"add_generation_prompt", "a message is continued, or a new one begun: not both"};
    }
    return std::nullopt;
  }
};

Result<TurnText> prompt_text(const Call& call, const ChatBody& body, const Model& model) {
  const bool begin = body.add_generation_prompt.value_or(!body.continue_final_message);
  QUERN_TRY(TurnText turn, turn_text(call, model, body.wish, body.messages, body.chat_template_kwargs, begin));
  if (!body.continue_final_message) return turn;
  auto shorter = continued(turn.text, body.messages);
  if (!shorter) {
    return fail(ErrorCode::kUnsupported,
                "'continue_final_message': the template changes the last message, so it cannot be continued");
  }
  turn.text = std::move(*shorter);
  return turn;
}

void append_choice(std::string& to, size_t index, const Completion& c, const ParsedReply& reply, const ChatBody& body,
                   const Engine& engine) {
  to += fmt::format(R"({}{{"index":{},"message":{{"role":"assistant",)", index == 0 ? "" : ",", index);
  append_openai_message(to, reply);
  to += R"(,"refusal":null},"logprobs":)";
  if (body.logprobs) {
    to += R"({"content":[)";
    for (size_t i = 0; i < c.logprobs.size(); ++i) {
      if (i > 0) to += ',';
      const TokenRecord& t = c.logprobs[i];
      append_chat_logprob(to, engine, t.id, t.logprob, t.top, static_cast<size_t>(body.top_logprobs));
    }
    to += R"(],"refusal":null})";
  } else {
    to += "null";
  }
  to += fmt::format(R"(,"finish_reason":"{}")", finish_reason(c.reason, !reply.calls.empty()));
  append_call_problems(to, reply.problems);
  to += '}';
}

void answer(const std::shared_ptr<Call>& call, const ChatBody& body, const Model& model,
            const std::vector<Generation>& done, const std::vector<ParsedReply>& replies, const std::string& figures) {
  std::string text = answer_head(*call, model, "chatcmpl-", "chat.completion");
  text += R"(,"choices":[)";
  for (size_t i = 0; i < done[0].completions.size(); ++i) {
    append_choice(text, i, done[0].completions[i], replies[i], body, model.engine());
  }
  text += fmt::format(R"(],"usage":{},"quern":{}}})", usage_json(usage_of(done)), figures);
  call->respond({.status = 200, .headers = {}, .body = std::move(text)});
}

// Of each sample; calls are kept for the turns to come.
std::vector<ParsedReply> read_replies(const Call& call, const Generation& done, const ReplyReader& reader) {
  std::vector<ParsedReply> replies;
  for (size_t i = 0; i < done.completions.size(); ++i) {
    const Completion& c = done.completions[i];
    if (reader) {
      replies.push_back(reader.read(i, c.text));
      keep_calls(call, reader, c, replies.back());
    } else {
      replies.push_back({.content = c.text, .reasoning = {}, .calls = {}, .problems = {}});
    }
  }
  return replies;
}

std::shared_ptr<ChoiceStream> make_stream(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model,
                                          const ChatBody& body, const GenerateOptions& options,
                                          const ReplyReader& reader) {
  if (!body.common.stream) return nullptr;
  StreamShape shape{.head = answer_head(*call, *model, "chatcmpl-", "chat.completion.chunk"),
                    .n = options.n,
                    .logprobs = options.sampling.logprobs,
                    .include_usage = body.common.include_usage()};
  if (reader) shape.parser = [reader](size_t choice) { return reader.parser(choice); };
  return std::make_shared<ChoiceStream>(call, model, std::move(shape));
}

void generate(const std::shared_ptr<Call>& call, const std::shared_ptr<ChatBody>& body,
              const std::shared_ptr<Model>& model) {
  const EngineInfo& info = model->engine().info();
  ServiceRequest request;
  GenerateOptions& options = request.options;
  const auto n = static_cast<unsigned>(body->common.n);
  if (auto problem = body->common.check_samples(n, model->service->state().slots)) return call->refuse(*problem);
  if (auto problem = body->common.sampling.take(info.n_vocab, options.sampling)) return call->refuse(*problem);
  if (auto problem = body->common.take_grammar(call->app.grammars, options.grammar)) return call->refuse(*problem);
  auto turn = prompt_text(*call, *body, *model);
  if (!turn) return call->fail(turn.error());
  auto reader = hold_reply(*call, model, body->wish, turn->text, options);
  if (!reader) return call->refuse({"tools", fmt::format("'tools': {}", reader.error().message)});
  auto fit = fit_prompt(*call, *model, turn_ids(model->engine(), *turn), 0);
  if (!fit) return call->fail(fit.error());
  if (call->app.config.log_prompts) call->record.prompt = std::move(turn->text);
  request.prompt = std::move(fit->ids);
  const auto most = body->max_completion_tokens ? body->max_completion_tokens : body->max_tokens;
  options.max_tokens = most ? static_cast<size_t>(*most) : info.n_ctx;
  options.n = n;
  options.stop = body->common.stop;
  options.sampling.logprobs = body->logprobs ? static_cast<int32_t>(body->top_logprobs) : -1;

  const auto stream = make_stream(call, model, *body, options, *reader);
  PromptEvents events;
  if (stream) events.on_token = [stream](size_t prompt, const TokenEvent& e) { stream->token(prompt, e); };
  events.on_end = [call, body, model, stream, options, reader = std::move(*reader),
                   removed = fit->removed](Result<std::vector<Generation>> done) {
    if (!done) return call->fail(done.error());
    if (call->app.config.log_prompts) call->record.answer = (*done)[0].completions[0].text;
    const std::string figures = figures_json(*done, std::span(&removed, 1), options);
    const std::vector<ParsedReply> replies = read_replies(*call, (*done)[0], reader);
    if (!stream) return answer(call, *body, *model, *done, replies, figures);
    stream->end(*done, usage_json(usage_of(*done)), figures);
  };
  std::vector<ServiceRequest> requests;
  requests.push_back(std::move(request));
  start_prompts(call, model, std::move(requests), std::move(events));
}

void chat(const std::shared_ptr<Call>& call) {
  auto body = std::make_shared<ChatBody>();
  if (!call->read(*body, Unknown::kRefuse)) return;
  if (auto problem = body->check(call->app.tool_store)) return call->refuse(*problem);
  with_model(call, body->common.model, std::nullopt,
             [call, body](const std::shared_ptr<Model>& model) { generate(call, body, model); });
}

Json chat_answer() {
  return Json::parse(R"({"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {"id": {"type": "string"}, "object": {"enum": ["chat.completion"]}, "created": {"type": "integer"},
    "model": {"type": "string"}, "system_fingerprint": {"type": "string"}, "usage": {"type": "object"},
    "quern": {"type": "object"}, "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
      "required": ["index", "message", "logprobs", "finish_reason"], "properties": {
        "index": {"type": "integer"}, "finish_reason": {"enum": ["stop", "length", "tool_calls", "cancelled"]},
        "message": {"type": "object", "required": ["role", "content"], "properties": {
          "role": {"enum": ["assistant"]}, "content": {"type": ["string", "null"]},
          "reasoning_content": {"type": "string"}, "tool_calls": {"type": "array", "items": {"type": "object",
            "required": ["id", "type", "function"], "properties": {"id": {"type": "string"},
              "type": {"enum": ["function"]}, "function": {"type": "object", "required": ["name", "arguments"],
                "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}}}}}}}}}}}}})");
}

}  // namespace

Route openai_chat_route() {
  return {.method = "POST",
          .path = "/v1/chat/completions",
          .summary = "The next message of a conversation (OpenAI)",
          .handle = chat,
          .body = body_schema<ChatBody>,
          .response = chat_answer,
          .streams = "text/event-stream",
          .answers = {{404, "No such model"}, {504, "The deadline passed"}}};
}

}  // namespace quern::server
