#include "server/ollama/reply.h"

#include <cmath>

#include "base/clock.h"
#include "server/app.h"
#include "server/generation.h"
#include "server/ollama/listing.h"
#include "server/ollama/values.h"
#include "server/openai/json_text.h"
#include "server/openai/logprobs.h"
#include "server/tools/reply_json.h"
#include "server/tools/thinking.h"

namespace quern::server::ollama {

namespace {

// One answer on its way. After the start it is used by the service's thread alone.
class Reply {
 public:
  explicit Reply(Run r) : r_(std::move(r)) {
    head_ = "{\"model\":";
    append_json_string(head_, r_.name);
    head_ += ",\"created_at\":\"";
    if (r_.reader) parser_ = r_.reader.parser(0);
  }

  Run& request() { return r_; }

  void on_token(const TokenEvent& event) {
    if (r_.logprobs >= 0 && !event.end) {
      if (!logprobs_.empty()) logprobs_ += ',';
      append_chat_logprob(logprobs_, r_.model->engine(), event.id, event.logprob, event.top,
                          static_cast<size_t>(r_.logprobs));
    }
    if (!r_.stream || event.text.empty()) return;
    if (!parser_) return write_line({.content = std::string(event.text)});
    tell(parser_->feed(event.text));
  }

  void on_end(Result<Generation> result) {
    if (!result) return r_.call->fail(result.error());
    Completion& text = result->completions[0];
    if (text.reason == StopReason::kCancelled) {
      return r_.call->fail({ErrorCode::kCancelled, "the server stops, and the answer is not complete"});
    }
    if (r_.call->app.config.log_prompts) r_.call->record.answer = text.text;
    ParsedReply reply = whole(text);
    if (r_.stream) reply = {.problems = std::move(reply.problems)};  // all else has been told
    std::string line = head_;
    line += rfc3339_now();
    append_reply(line, reply);
    append_logprobs(line);
    append_call_problems(line, reply.problems);
    append_figures(line, text, result->stats);
    if (!r_.stream) {
      return r_.call->respond(
          {.status = 200, .headers = {}, .body = std::move(line), .content_type = "application/json"});
    }
    begin();
    r_.call->line(line);
    r_.call->end();
  }

 private:
  void begin() {
    if (!r_.call->streaming()) r_.call->begin_lines();
  }

  // Of a stream what was held back is told now.
  ParsedReply whole(const Completion& text) {
    if (!parser_) return {.content = text.text};
    if (!r_.stream) parser_->feed(text.text);
    std::vector<tools::Delta> rest;
    ParsedReply reply = parser_->finish(&rest);
    if (r_.stream) tell(rest);
    keep_calls(*r_.call, r_.reader, text, reply);
    return reply;
  }

  // A call is told when it is whole: its arguments are an object.
  void tell(const std::vector<tools::Delta>& deltas) {
    for (const tools::Delta& delta : deltas) {
      switch (delta.kind) {
        case tools::Delta::Kind::kContent:
          write_line({.content = delta.text});
          break;
        case tools::Delta::Kind::kReasoning:
          if (r_.show_thinking) write_line({.reasoning = delta.text});
          break;
        case tools::Delta::Kind::kCallBegin:
          call_ = {.id = delta.id, .name = delta.text};
          break;
        case tools::Delta::Kind::kArguments:
          call_.arguments += delta.text;
          break;
        case tools::Delta::Kind::kCallEnd:
          write_line({.calls = {call_}}, n_calls_++);
          break;
        case tools::Delta::Kind::kCallLost:
          break;
      }
    }
  }

  void write_line(const ParsedReply& reply, size_t first_call = 0) {
    begin();
    std::string line = head_;
    line += rfc3339_now();
    append_reply(line, reply, first_call);
    append_logprobs(line);
    line += ",\"done\":false}\n";
    r_.call->exchange->write(std::move(line));
  }

  void append_reply(std::string& line, const ParsedReply& reply, size_t first_call = 0) const {
    line += r_.chat ? R"(","message":{"role":"assistant","content":)" : R"(","response":)";
    append_json_string(line, reply.content);
    if (r_.show_thinking && !reply.reasoning.empty()) {
      line += R"(,"thinking":)";
      append_json_string(line, reply.reasoning);
    }
    if (!r_.chat) return;
    for (size_t i = 0; i < reply.calls.size(); ++i) {
      line += i == 0 ? R"(,"tool_calls":[)" : ",";
      append_ollama_call(line, reply.calls[i], first_call + i);
    }
    line += reply.calls.empty() ? "}" : "]}";
  }

  // Of the tokens since the last line.
  void append_logprobs(std::string& line) {
    if (logprobs_.empty()) return;
    line += fmt::format(",\"logprobs\":[{}]", logprobs_);
    logprobs_.clear();
  }

  // The rest of the last line.
  void append_figures(std::string& line, const Completion& text, const GenerateStats& s) const {
    const bool cut = text.reason == StopReason::kMaxTokens || text.reason == StopReason::kContextFull;
    line += fmt::format(R"(,"done":true,"done_reason":"{}")", cut ? "length" : "stop");
    if (!r_.chat) {
      line += fmt::format(R"(,"context":[{}{}{}])", fmt::join(r_.prompt, ","), text.ids.empty() ? "" : ",",
                          fmt::join(text.ids, ","));
    }
    line += fmt::format(
        R"(,"total_duration":{},"load_duration":{},"prompt_eval_count":{},"prompt_eval_duration":{},"eval_count":{},)"
        R"("eval_duration":{},"cached_tokens":{}}})",
        nanoseconds(now_s() - r_.start), nanoseconds(r_.load_seconds), s.prompt_tokens, nanoseconds(s.prompt_seconds),
        text.ids.size(), nanoseconds(s.generate_seconds), s.cached_tokens);
  }

  Run r_;
  std::string head_;                            // of each line, up to the time
  std::string logprobs_;                        // not told yet
  std::unique_ptr<tools::ReplyParser> parser_;  // null: all is content
  ToolCall call_;                               // that is being told
  size_t n_calls_ = 0;
};

// The one answer to a request without a prompt.
Json loaded_answer(const std::string& model, bool chat, std::string_view done_reason) {
  Json answer = {{"model", model}, {"created_at", rfc3339_now()}};
  if (chat) {
    answer["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    answer["response"] = "";
  }
  answer["done"] = true;
  answer["done_reason"] = done_reason;
  return answer;
}

}  // namespace

void TextBody::fields(FieldVisitor& v) {
  v.member({"model", "Name of the model", {.required = true}}, model);
  v.member({"stream", "Lines as the text comes, else one object"}, stream);
  v.member({"options", "How to choose tokens, and how many"}, options_json, options_schema());
  v.member({"format", "What the answer must look like: \"json\", or a JSON schema"}, format_json, kOllamaFormatSchema);
  v.member({"keep_alive", "How long the model stays afterwards: seconds, \"5m\", 0: not, -1: for ever"},
           keep_alive_json, kKeepAliveSchema);
  v.member({"think", "Whether the model thinks first, told apart; some models take low, medium or high"}, think,
           kThinkSchema);
  v.member({"logprobs", "Tell the log-probability of each token"}, logprobs);
  v.member({"top_logprobs", "Tell that many alternatives of each token as well", {.min = 0, .max = 20}}, top_logprobs);
  v.member({"truncate", "false: refuse a prompt that is too long, whatever the server's prompt_policy is"}, truncate);
  v.ignore("shift", "a context that is full ends the text");
}

bool TextBody::read(Call& call) {
  if (model.empty()) {
    call.refuse({"model", "'model' is empty, expected the name of a model"});
    return false;
  }
  std::vector<std::string> ignored;
  const auto problem = read_options(options_json, options, ignored);
  call.tell_ignored(ignored);
  if (problem) {
    call.refuse(*problem);
    return false;
  }
  if (const auto wrong = check_think(think)) {
    call.refuse(*wrong);
    return false;
  }
  const auto seconds = read_keep_alive(keep_alive_json);
  if (!seconds) {
    call.fail(seconds.error());
    return false;
  }
  keep_alive = *seconds;
  if (const auto wrong = read_ollama_format(format_json, call.app.grammars, grammar)) {
    call.refuse(*wrong);
    return false;
  }
  return true;
}

void with_run(const std::shared_ptr<Call>& call, const TextBody& body, double start, std::function<void(Run)> then) {
  with_model(call, model_name(body.model), body.keep_alive,
             [call, body, start, then = std::move(then)](const std::shared_ptr<Model>& model) {
               auto options = body.options.for_engine(model->engine().info().n_ctx, model->settings.max_tokens);
               if (!options) return call->fail(options.error());
               options->grammar = body.grammar;
               then({.call = call,
                     .model = model,
                     .name = body.model,
                     .stream = body.stream,
                     .logprobs = body.logprobs ? static_cast<int32_t>(body.top_logprobs) : -1,
                     .start = start,
                     .load_seconds = now_s() - start,
                     .prompt = {},
                     .options = std::move(*options),
                     .show_thinking = body.think != false});
             });
}

void load_or_unload(const std::shared_ptr<Call>& call, const TextBody& body, bool chat) {
  const std::string name = model_name(body.model);
  if (body.keep_alive == 0.0) {
    if (const auto listing = find_allowed(*call, body.model); !listing) return call->fail(listing.error());
    call->app.models.unload(name);
    return call->respond(loaded_answer(body.model, chat, "unload"));
  }
  with_model(call, name, body.keep_alive, [call, body, chat](const std::shared_ptr<Model>&) {
    call->respond(loaded_answer(body.model, chat, "load"));
  });
}

uint64_t nanoseconds(double seconds) {
  return seconds > 0 ? static_cast<uint64_t>(std::llround(seconds * 1e9)) : 0;
}

void run(Run r) {
  const auto call = r.call;
  const auto model = r.model;
  ServiceRequest request{.prompt = r.prompt, .options = std::move(r.options)};
  request.options.sampling.logprobs = r.logprobs;
  const auto reply = std::make_shared<Reply>(std::move(r));
  const auto started =
      start_generation(call, model, std::move(request),
                       {.on_token = [reply](const TokenEvent& event) { reply->on_token(event); },
                        .on_end = [reply](Result<Generation> result) { reply->on_end(std::move(result)); }});
  if (!started) call->fail(started.error());
}

Status fit(Run& r, std::vector<int32_t> ids, std::optional<bool> truncate) {
  const size_t most = r.model->engine().info().n_ctx;
  const size_t room = r.options.n_ctx == 0 ? most : std::min(r.options.n_ctx, most);
  if (truncate && !*truncate && ids.size() > room) {
    return fail_f(ErrorCode::kTooLong, "the prompt needs {} tokens, the context holds {}, and 'truncate' is false",
                  ids.size(), room);
  }
  // Asking for it does not override a policy to refuse: Ollama's clients do so without the user's knowledge.
  if (truncate && *truncate) r.call->tell_ignored({"truncate"});
  QUERN_TRY(PromptFit fitted, fit_prompt(*r.call, *r.model, std::move(ids), r.options.n_ctx));
  r.prompt = std::move(fitted.ids);
  return {};
}

Json reply_schema(bool chat) {
  Json schema = Json::parse(R"({"type": "object", "required": ["model", "created_at", "done"], "properties": {
    "model": {"type": "string"}, "created_at": {"type": "string"}, "done": {"type": "boolean"},
    "done_reason": {"enum": ["stop", "length", "load", "unload"]},
    "total_duration": {"type": "integer"}, "load_duration": {"type": "integer"},
    "prompt_eval_count": {"type": "integer"}, "prompt_eval_duration": {"type": "integer"},
    "eval_count": {"type": "integer"}, "eval_duration": {"type": "integer"}, "cached_tokens": {"type": "integer"},
    "logprobs": {"type": "array"}}})");
  if (chat) {
    schema["properties"]["message"] = Json::parse(R"({"type": "object", "required": ["role", "content"]})");
  } else {
    schema["properties"]["response"] = schema["properties"]["thinking"] = {{"type", "string"}};
    schema["properties"]["context"] = Json::parse(R"({"type": "array", "items": {"type": "integer"}})");
  }
  schema["required"].push_back(chat ? "message" : "response");
  return schema;
}

}  // namespace quern::server::ollama
