// /v1/stream: streaming sessions as server-sent events, and the address of their WebSocket (docs/server.md, "Streaming
// sessions").
#include <charconv>

#include "server/app.h"
#include "server/call.h"
#include "server/session/message.h"
#include "server/session/turn.h"

namespace quern::server {

namespace {

// Called under its session's lock. The stream ends when all has been sent and nothing runs.
class SseFollower final : public Follower {
 public:
  SseFollower(std::shared_ptr<Call> call, std::string session) : call_(std::move(call)), session_(std::move(session)) {}

  ~SseFollower() override {
    if (!begun_) return;  // the call is answered by an error
    if (call_->exchange->gone()) call_->record.finish_reason = "client_gone";
    call_->end();
  }

  void attached(const Attached& where) override {
    begun_ = true;
    call_->begin_events();
    write(where.after, dump({{"type", "session"},
                             {"session", session_},
                             {"after", where.after},
                             {"last", where.last},
                             {"running", where.running}}));
  }
  void send(uint64_t seq, const std::string& event) override { write(seq, event); }
  bool idle() override {
    call_->end();
    return false;
  }
  void replaced() override {
    call_->event(dump({{"type", "detached"}, {"session", session_}, {"code", "followed_elsewhere"}}));
    call_->end();
  }
  void closed() override {
    call_->event(dump({{"type", "closed"}, {"session", session_}}));
    call_->end();
  }
  [[nodiscard]] size_t backlog() const override { return call_->exchange->backlog(); }
  void on_drained(size_t below, std::function<void()> f) override { call_->exchange->on_drained(below, std::move(f)); }

 private:
  void write(uint64_t seq, std::string_view event) {
    std::string text;
    text.reserve(event.size() + session_.size() + 48);
    text.append("id: ").append(session_).append(".").append(std::to_string(seq));
    text.append("\ndata: ").append(event).append("\n\n");
    call_->exchange->write(std::move(text));
  }

  const std::shared_ptr<Call> call_;
  const std::string session_;
  bool begun_ = false;
};

void fail(const std::shared_ptr<Call>& call, const StreamError& error) {
  const char* type = error.status == 429  ? "rate_limit_error"
                     : error.status < 500 ? "invalid_request_error"
                                          : "server_error";
  if (error.status == 429) call->headers.emplace_back("retry-after", fmt::format("{}", call->app.retry_after_s()));
  call->fail(error.status, type, error.message, error.param, error.code);
}

// False where the client has been told why not.
bool follow(const std::shared_ptr<Call>& call, const std::shared_ptr<Session>& session, uint64_t after) {
  const auto follower = std::make_shared<SseFollower>(call, session->id);
  const auto replayed = session->attach(follower, after);
  if (!replayed) {
    fail(call, replayed.error());
    return false;
  }
  call->app.metrics.replayed(*replayed);
  call->exchange->on_gone([session = std::weak_ptr(session), f = std::weak_ptr(follower)] {
    const auto alive = session.lock();
    const auto gone = f.lock();
    if (alive && gone) alive->detach(gone.get());
  });
  return true;
}

void start(const std::shared_ptr<Call>& call) {
  App& app = call->app;
  StartBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  const bool fresh = body.session.empty();
  std::shared_ptr<Session> session;
  if (!fresh) {
    session = app.sessions.find(call->principal->tenant, body.session);
    if (!session) return fail(call, session_not_found());
    body = {};
    body.options = session->conversation()->options;  // hold where the body names none
    if (!call->read(body, Unknown::kRefuse)) return;
  }
  auto checked = check_start(std::move(body));
  if (!checked) return fail(call, checked.error());
  if (checked->options.acks) {
    return fail(call, {.code = "invalid_value", .message = "'acks' wants a WebSocket", .param = "acks"});
  }
  if (fresh) {
    auto created = app.sessions.create(call->principal->tenant);
    if (!created) return fail(call, created.error());
    session = std::move(*created);
  }
  const TurnClient client{.principal = call->principal, .address = call->exchange->request().remote};
  start_turn(app, client, session, std::move(*checked),
             [call, session, fresh, after = session->last()](const std::optional<StreamError>& error) {
               if (error) fail(call, *error);
               const bool there = !error && !call->exchange->gone() && follow(call, session, after);
               if (!there && fresh) call->app.sessions.remove(session);  // nobody knows its id
             });
}

// From the header Last-Event-ID, SESSION.SEQ, or ?after=SEQ; 0 without either, nullopt where it is not such a thing.
std::optional<uint64_t> resume_after(const Call& call, std::string_view session) {
  const http::Request& request = call.exchange->request();
  std::string text = request.query_value("after").value_or("");
  if (const std::string_view last = request.header("last-event-id"); !last.empty()) {
    if (!last.starts_with(session) || last.substr(session.size(), 1) != ".") return std::nullopt;
    text = last.substr(session.size() + 1);
  } else if (text.empty()) {
    return 0;
  }
  uint64_t after = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
  const bool good = error == std::errc{} && end == text.data() + text.size() && after < (uint64_t{1} << 53);
  return good ? std::optional(after) : std::nullopt;
}

void resume(const std::shared_ptr<Call>& call) {
  const auto session = call->app.sessions.find(call->principal->tenant, call->path_value("session"));
  if (!session) return fail(call, session_not_found());
  const auto after = resume_after(*call, session->id);
  if (!after) {
    return fail(call, {.code = "invalid_value",
                       .message = "Last-Event-ID is SESSION.NUMBER, and ?after=NUMBER a number",
                       .param = "after"});
  }
  const bool nothing = session->last() == *after && session->settled();
  if (nothing || call->exchange->request().method == "HEAD") {
    // An EventSource stops to come back at 204.
    return call->respond({.status = nothing ? 204 : 200, .headers = {}, .body = {}, .content_type = {}});
  }
  follow(call, session, *after);
}

void forget(const std::shared_ptr<Call>& call) {
  const auto session = call->app.sessions.find(call->principal->tenant, call->path_value("session"));
  if (!session) return fail(call, session_not_found());
  call->app.sessions.remove(session);
  call->respond({{"id", session->id}, {"object", "stream.session"}, {"deleted", true}});
}

void want_websocket(const std::shared_ptr<Call>& call) {
  call->headers.emplace_back("upgrade", "websocket");
  call->fail(426, "invalid_request_error", "GET here is for WebSocket: send Upgrade: websocket, or use POST", {},
             "upgrade_required");
}

Json deleted_answer() {
  return Json::parse(R"({"type": "object", "required": ["id", "deleted"], "properties": {
    "id": {"type": "string"}, "object": {"type": "string"}, "deleted": {"type": "boolean"}}})");
}

// Of one event, as its fields (WHATWG's server-sent events).
Json events_answer() {
  return Json::parse(R"({"type": "object", "required": ["data"], "properties": {
    "data": {"type": "string"}, "id": {"type": "string"}}})");
}

}  // namespace

Route stream_route() {
  return {.method = "POST",
          .path = "/v1/stream",
          .summary = "Begin a turn in a streaming session, as server-sent events",
          .handle = start,
          .body = body_schema<StartBody>,
          .response = events_answer,
          .produces = "text/event-stream",
          .answers = {{404, "No such model or session"},
                      {409, "The session's last turn has not ended"},
                      {413, "The body or the conversation is too large"}}};
}

Route stream_socket_route() {
  return {.method = "GET",
          .path = "/v1/stream",
          .summary = "Streaming sessions over WebSocket",
          .handle = want_websocket,
          .quick = true,
          .answers = {{426, "No request for an upgrade to WebSocket"}}};
}

Route stream_resume_route() {
  return {.method = "GET",
          .path = "/v1/stream/{session}",
          .summary = "The events of a streaming session after ?after=N or Last-Event-ID",
          .handle = resume,
          .response = events_answer,
          .produces = "text/event-stream",
          .answers = {{204, "There is nothing more"},
                      {400, "Last-Event-ID or ?after is wrong"},
                      {404, "No such session"},
                      {410, "Events have left the replay window"}}};
}

Route stream_delete_route() {
  return {.method = "DELETE",
          .path = "/v1/stream/{session}",
          .summary = "Cancel and forget a streaming session",
          .handle = forget,
          .response = deleted_answer,
          .answers = {{404, "No such session"}}};
}

}  // namespace quern::server
