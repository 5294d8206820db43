#include "server/session/turn.h"

#include <utility>

#include "base/clock.h"
#include "server/app.h"
#include "server/generation.h"
#include "server/openai/answer.h"
#include "server/openai/json_text.h"
#include "server/openai/logprobs.h"
#include "server/tools/chat_turn.h"
#include "server/tools/reply_json.h"

namespace quern::server {

namespace {

constexpr size_t kMaxConversationBytes = size_t{4} << 20;

using Started = std::function<void(const std::optional<StreamError>&)>;

struct Work {
  App& app;
  TurnClient client;
  std::shared_ptr<Session> session;
  uint64_t turn;
  std::shared_ptr<const Conversation> before;
  Conversation next;   // the conversation with what was asked
  std::string prompt;  // of that, as text
  Started started;
  RequestRecord record;
  double start = now_s();
  std::string truncated;
  ReplyReader reader = {};                 // where answers are more than text
  std::vector<std::string> warnings = {};  // of the tools
  bool render_special = false;             // in answers

  // The session's turn is over before it began.
  void refuse(StreamError error) {
    session->end_turn(turn, {}, {}, nullptr);
    record.error = error.message;
    if (client.websocket) write_record(error.status);  // else the HTTP request's line says it
    if (started) started(std::move(error));
  }

  void write_record(int status) {
    record.status = status;
    record.duration_s = now_s() - start;
    if (client.websocket) app.metrics.request("/v1/stream", status, record.duration_s);
    app.log.write(record);
  }
};

// The way from a session to its request. Weak: a session does not keep a model.
class ServiceTurn final : public TurnControl {
 public:
  ServiceTurn(const std::shared_ptr<Model>& model, RequestId id) : model_(model), id_(id) {}
  void cancel() override {
    if (const auto model = model_.lock()) model->service->cancel(id_);
  }
  void pause(bool paused) override {
    if (const auto model = model_.lock()) model->service->pause(id_, paused);
  }

 private:
  const std::weak_ptr<Model> model_;
  const RequestId id_;
};

// The way from the engine to a session; called on the service's thread.
class TurnSink final : public RequestSink {
 public:
  TurnSink(std::shared_ptr<Work> work, std::shared_ptr<Model> model)
      : work_(std::move(work)), model_(std::move(model)) {
    if (work_->reader) parser_ = work_->reader.parser(0);
  }

  void on_accepted(RequestId id) override {
    const auto control = std::make_shared<ServiceTurn>(model_, id);
    if (!work_->session->run_turn(work_->turn, control)) control->cancel();
    std::exchange(work_->started, nullptr)(std::nullopt);  // so the client hears of it before any token
  }

  bool on_token(const TokenEvent& event) override {
    const StreamOptions& o = work_->next.options;
    std::string more;
    if (o.return_ids && !event.end) more.append(R"(,"id":)").append(std::to_string(event.id));
    if (o.logprobs) {
      more.append(R"(,"logprobs":)");
      append_chat_logprob(more, model_->engine(), event.id, event.logprob, event.top,
                          static_cast<size_t>(o.top_logprobs));
    }
    if (parser_) return tell(parser_->feed(event.text), more);
    // Until a character is whole there is nothing to show.
    return (event.text.empty() && more.empty()) || tell({}, event.text, more);
  }

  void on_end(Result<Generation> result) override {
    record_end(work_->app, *work_->client.principal, work_->record, result);
    if (work_->started) {  // the service stopped before it looked at the request
      work_->refuse(stream_error(result ? Error{ErrorCode::kCancelled, "the engine stops"} : result.error()));
    } else if (result) {
      succeed(*result);
    } else {
      fail(result.error());
    }
    parser_.reset();  // before its model
    work_.reset();
    model_.reset();
  }

 private:
  void succeed(Generation& generation) {
    Completion& answer = generation.completions[0];
    const bool cancelled = answer.reason == StopReason::kCancelled;
    if (cancelled) work_->app.metrics.cancelled(CancelCause::kRequest);
    const ParsedReply reply = whole(answer);
    const std::string_view reason = finish_reason(answer.reason, !reply.calls.empty());
    std::string members =
        fmt::format(R"(,"finish_reason":"{}","usage":{})", reason, usage_json(usage_of({&generation, 1})));
    if (!work_->truncated.empty()) members += fmt::format(R"(,"truncated":"{}")", work_->truncated);
    if (!work_->warnings.empty()) members += fmt::format(R"(,"warnings":{})", dump(Json(work_->warnings)));
    append_call_problems(members, reply.problems);
    if (work_->app.config.log_prompts) work_->record.answer = answer.text;
    work_->record.finish_reason = reason;
    remember(answer, reply);
    // The line first: who has the last event finds it in the log.
    work_->write_record(200);
    work_->session->end_turn(work_->turn, "end", members, std::make_shared<const Conversation>(std::move(work_->next)));
  }

  // The answer taken apart; what was held back of it is told.
  ParsedReply whole(const Completion& answer) {
    if (!parser_) return {.content = answer.text, .reasoning = {}, .calls = {}, .problems = {}};
    std::vector<tools::Delta> rest;
    ParsedReply reply = parser_->finish(&rest);
    tell(rest, {});
    keep_calls(work_->app.sampled_calls, work_->client.principal->tenant, work_->reader, answer, reply);
    return reply;
  }

  // An event for each delta. `more`, of the token, goes with the first, or with one of its own.
  bool tell(const std::vector<tools::Delta>& deltas, std::string_view more) {
    bool wanted = true;
    for (const tools::Delta& delta : deltas) {
      const bool content = delta.kind == tools::Delta::Kind::kContent;
      std::string member = ",";
      if (!content && !append_openai_delta(member, delta)) continue;
      wanted = tell(content ? "" : member, content ? std::string_view(delta.text) : "", more);
      more = {};
    }
    return more.empty() ? wanted : tell({}, {}, more);
  }

  bool tell(std::string_view delta, std::string_view text, std::string_view more) {
    members_.assign(R"(,"text":)");
    append_json_string(members_, text);
    members_.append(delta).append(more);
    return work_->session->append(work_->turn, "token", members_);
  }

  void remember(Completion& answer, const ParsedReply& reply) {
    Conversation& next = work_->next;
    if (!next.options.stateful) {
      next = Conversation{.options = std::move(next.options)};
      return;
    }
    if (next.chat) {
      std::string message = R"({"role":"assistant",)";
      append_openai_message(message, reply);
      next.messages.push_back(Json::parse(message + "}"));
    } else {
      next.text += answer.text;
    }
    // Not where the tokens are not the text: the prompt was cut, or the answer at a stop string.
    const bool exact =
        work_->truncated.empty() && model_->engine().detokenize(answer.ids, work_->render_special) == answer.text;
    if (!exact) {
      next.kept_text.clear();
      next.kept_ids.clear();
      return;
    }
    next.kept_text = std::move(work_->prompt) + answer.text;
    next.kept_ids.insert(next.kept_ids.end(), answer.ids.begin(), answer.ids.end());
    next.kept_model = model_->name;
  }

  // What was said stays as it was, so that the client can ask again.
  void fail(const Error& error) {
    auto next = std::make_shared<Conversation>(*work_->before);
    next->options = work_->next.options;
    next->chat = work_->next.chat;
    if (error.code == ErrorCode::kCancelled) {  // the engine stops
      work_->app.metrics.cancelled(CancelCause::kDrain);
      work_->record.finish_reason = "shutdown";
      work_->write_record(503);
      return work_->session->end_turn(work_->turn, "end", R"(,"finish_reason":"shutdown","usage":null)",
                                      std::move(next));
    }
    const StreamError e = stream_error(error);
    work_->record.error = error.message;
    work_->write_record(e.status);
    work_->session->end_turn(work_->turn, "error",
                             fmt::format(R"(,"code":"{}","message":{})", e.code, dump(Json(e.message))),
                             std::move(next));
  }

  std::shared_ptr<Work> work_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<tools::ReplyParser> parser_;  // null: all is text
  std::string members_;                         // of one event, kept for its memory
};

// What the prompt becomes where it does not follow the last turn's.
Result<TurnText> make_text(const Work& work, const Model& model, const ToolWish& wish) {
  const Conversation& c = work.next;
  if (!c.chat) return TurnText{.text = c.text, .replies = {}};
  return turn_text(work.app.sampled_calls, work.client.principal->tenant, model, wish, c.messages,
                   c.options.chat_template_kwargs);
}

// What the last turn left is not tokenized again.
std::vector<int32_t> make_prompt(Conversation& c, const Model& model, const TurnText& turn) {
  const bool follows = !c.kept_ids.empty() && c.kept_model == model.name && turn.text.starts_with(c.kept_text);
  if (!follows) return turn_ids(model.engine(), turn);
  std::vector<int32_t> ids = std::move(c.kept_ids);
  const std::string_view rest = std::string_view(turn.text).substr(c.kept_text.size());
  const auto more = model.engine().tokenize(rest, /*add_special=*/false, /*parse_special=*/true);
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

// What the turn wants of tools, and of its answer's form.
std::optional<BodyError> read_wishes(const Work& work, ToolWish& wish, GenerateOptions& options) {
  const StreamOptions& o = work.next.options;
  if (auto wrong = read_tools(o.tools, o.tool_choice, o.parallel_tool_calls, work.app.tool_store, wish)) return wrong;
  if (wish.offered() && !work.next.chat) return BodyError{"tools", "'tools' are for messages, not for a text"};
  if (auto wrong = read_response_format(o.response_format, "response_format", work.app.grammars, options.grammar)) {
    return wrong;
  }
  if (!wish.offered() || !options.grammar) return std::nullopt;
  return BodyError{"response_format",
                   "'response_format' and 'tools' cannot be held at once: leave one of them out, or say tool_choice "
                   "\"none\""};
}

StreamResult<ServiceRequest> make_request(Work& work, const std::shared_ptr<Model>& model) {
  const StreamOptions& o = work.next.options;
  ServiceRequest request;
  ToolWish wish;
  if (const auto wrong = read_wishes(work, wish, request.options)) return tl::unexpected(stream_error(*wrong));
  auto turn = make_text(work, *model, wish);
  if (!turn) return tl::unexpected(stream_error(turn.error()));
  work.prompt = turn->text;
  if (work.next.chat) {
    auto reader = hold_reply(work.record.id, model, wish, work.prompt, request.options, work.warnings);
    if (!reader) {
      return tl::unexpected(stream_error(BodyError{"tools", fmt::format("'tools': {}", reader.error().message)}));
    }
    work.reader = std::move(*reader);
  }
  work.render_special = request.options.render_special;
  auto fit = fit_prompt(*model, make_prompt(work.next, *model, *turn), 0);
  if (!fit) return tl::unexpected(stream_error(fit.error()));
  if (fit->removed > 0) {
    work.truncated = fmt::format("{}: {} tokens", fit->policy, fit->removed);
    work.record.truncation = work.truncated;
  }
  work.next.kept_ids = fit->ids;
  request.prompt = std::move(fit->ids);
  if (const auto wrong = o.sampling.take(model->engine().info().n_vocab, request.options.sampling)) {
    return tl::unexpected(stream_error(*wrong));
  }
  request.options.sampling.logprobs = o.logprobs ? static_cast<int32_t>(o.top_logprobs) : -1;
  request.options.stop = o.stop;
  request.options.ignore_eos = o.ignore_eos;
  const size_t configured = model->settings.max_tokens;
  request.options.max_tokens = o.max_tokens     ? static_cast<size_t>(*o.max_tokens)
                               : configured > 0 ? configured
                                                : model->engine().info().n_ctx;
  RankWish rank{.deadline_s = o.deadline};
  if (o.priority) rank.priority = static_cast<double>(*o.priority);
  set_rank(work.app.config, *work.client.principal, rank, request);
  return request;
}

void submit(const std::shared_ptr<Work>& work, const std::shared_ptr<Model>& model) {
  work->record.model = model->name;
  if (work->session->was_cancelled(work->turn)) {  // while the model was loaded
    work->app.metrics.cancelled(CancelCause::kRequest);
    work->record.finish_reason = "cancelled";
    work->write_record(200);
    work->session->end_turn(work->turn, "end", R"(,"finish_reason":"cancelled","usage":null)", nullptr);
    return work->started(std::nullopt);
  }
  auto request = make_request(*work, model);
  if (!request) return work->refuse(std::move(request.error()));
  if (work->app.config.log_prompts) work->record.prompt = work->prompt;
  // From here on `work` is the sink's thread's, unless the request was not taken.
  const auto id = model->service->submit(std::move(*request), std::make_shared<TurnSink>(work, model));
  if (!id) {
    if (id.error().code == ErrorCode::kBusy) work->app.metrics.queue_full();
    work->refuse(stream_error(id.error()));
  }
}

// What was asked, behind what there is.
std::optional<StreamError> add_to(Conversation& conversation, StartBody& begin, bool first) {
  const bool chat = !begin.messages.is_null();
  if (!first && chat != conversation.chat) {
    return StreamError{.code = "invalid_value",
                       .message = conversation.chat ? "the session has messages: add messages to it"
                                                    : "the session has a text: add a prompt to it",
                       .param = chat ? "messages" : "prompt"};
  }
  conversation.chat = chat;
  if (chat) {
    for (Json& m : begin.messages) conversation.messages.push_back(std::move(m));
  } else {
    conversation.text += *begin.prompt;
  }
  conversation.options = std::move(begin.options);
  if (conversation.bytes() <= kMaxConversationBytes) return std::nullopt;
  return StreamError{
      .status = 413,
      .code = "history_full",
      .message = fmt::format("the conversation has over {} bytes; begin a new session", kMaxConversationBytes)};
}

std::optional<StreamError> check_limits(const App& app, const TurnClient& client, const StreamOptions& options) {
  if (options.top_logprobs > static_cast<int64_t>(app.config.max_logprobs)) {
    return StreamError{.code = "invalid_value",
                       .message = fmt::format("'top_logprobs' is {}, at most {} are given", options.top_logprobs,
                                              app.config.max_logprobs),
                       .param = "top_logprobs"};
  }
  if (client.principal->models.empty()) return std::nullopt;
  const auto listing = app.models.find(options.model);  // not even loaded for a key that may not use it
  if (!listing) return stream_error(listing.error());
  if (client.principal->may_use(listing->name)) return std::nullopt;
  return StreamError{.status = 404,
                     .code = "model_not_found",
                     .message = fmt::format("this API key may not use the model '{}'", listing->name),
                     .param = "model"};
}

}  // namespace

void start_turn(App& app, const TurnClient& client, const std::shared_ptr<Session>& session, StartBody begin,
                Started started) {
  if (app.draining()) {
    return started(StreamError{.status = 503, .code = "draining", .message = "the server is shutting down"});
  }
  if (auto full = app.sessions.check_memory()) return started(std::move(full));
  if (auto wrong = check_limits(app, client, begin.options)) return started(std::move(wrong));
  auto turn = session->begin_turn();
  if (!turn) return started(std::move(turn.error()));
  auto work = std::make_shared<Work>(Work{.app = app,
                                          .client = client,
                                          .session = session,
                                          .turn = turn->number,
                                          .before = turn->conversation,
                                          .next = *turn->conversation,
                                          .prompt = {},
                                          .started = std::move(started),
                                          .record = {},
                                          .truncated = {}});
  work->record.time_s = wall_clock_s();
  // A prefix of the id: all of it would open the session to whoever reads the log.
  work->record.id = fmt::format("{}.{}", session->id.substr(0, 13), turn->number);
  work->record.method = client.websocket ? "WS" : "SSE";
  work->record.route = "/v1/stream";
  work->record.key_name = client.principal->name;
  work->record.client = client.address;
  if (turn->number > 1 && !turn->conversation->options.stateful) {
    return work->refuse({.code = "not_stateful", .message = "the session was started without \"stateful\": true"});
  }
  if (auto wrong = add_to(work->next, begin, turn->number == 1)) return work->refuse(std::move(*wrong));
  session->wait_for_acknowledgements(work->next.options.acks);
  const std::string model = work->next.options.model;
  app.models.acquire(model, std::nullopt, [work](Result<std::shared_ptr<Model>> found) {
    if (!found) {
      StreamError error = stream_error(found.error());
      if (found.error().code == ErrorCode::kNotFound) error.code = "model_not_found", error.param = "model";
      return work->refuse(std::move(error));
    }
    work->app.work.post([work, model = std::move(*found)] {
      try {
        submit(work, model);
      } catch (const std::exception& error) {  // ours are Results: memory, or a defect
        work->refuse(stream_error(Error{ErrorCode::kIo, fmt::format("internal error: {}", error.what())}));
      }
    });
  });
}

}  // namespace quern::server
