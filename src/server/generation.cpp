#include "server/generation.h"

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "chat/render_chat.h"
#include "server/app.h"

namespace quern::server {

namespace {

// A reader this far behind pauses its request, and at a quarter of that it goes on.
constexpr size_t kPauseBytes = 256 << 10, kResumeBytes = 64 << 10;

class CallSink final : public RequestSink, public std::enable_shared_from_this<CallSink> {
 public:
  CallSink(std::shared_ptr<Call> call, std::shared_ptr<Model> model, GenerationEvents events, bool embed)
      : call_(std::move(call)), model_(std::move(model)), events_(std::move(events)), embed_(embed) {}

  // The id is known only after submitting, when tokens may already come.
  void set_id(RequestId id) { id_.store(id, std::memory_order_release); }

  void client_gone() { gone_.store(true, std::memory_order_relaxed); }

  bool on_token(const TokenEvent& event) override {
    if (gone_.load(std::memory_order_relaxed)) return false;
    if (events_.stop && events_.stop->load(std::memory_order_relaxed)) return false;
    if (events_.on_token) events_.on_token(event);
    hold_back_if_slow();
    return true;
  }

  void on_end(Result<Generation> result) override {
    RequestRecord& record = call_->record;
    record_end(call_->app, *call_->principal, record, result, embed_);
    if (gone_.load(std::memory_order_relaxed)) {
      record.finish_reason = "client_gone";
      call_->app.metrics.cancelled(CancelCause::kClientGone);
    }
    if (events_.on_end) events_.on_end(std::move(result));
    events_ = {};
    call_.reset();
    model_.reset();
  }

 private:
  void hold_back_if_slow() {
    const RequestId id = id_.load(std::memory_order_acquire);
    if (id == 0 || paused_.load(std::memory_order_relaxed) || call_->exchange->backlog() < kPauseBytes) return;
    paused_.store(true, std::memory_order_relaxed);
    model_->service->pause(id, true);
    // Weak: a client that never reads must not keep the model.
    call_->exchange->on_drained(kResumeBytes, [weak = weak_from_this(), model = std::weak_ptr(model_), id] {
      const auto self = weak.lock();
      const auto m = model.lock();
      if (!self || !m) return;
      self->paused_.store(false, std::memory_order_relaxed);
      m->service->pause(id, false);
    });
  }

  std::shared_ptr<Call> call_;
  std::shared_ptr<Model> model_;
  GenerationEvents events_;
  bool embed_;
  std::atomic<RequestId> id_{0};
  std::atomic<bool> gone_{false}, paused_{false};
};

// A header's number; nullopt when it is absent, an error when it is none.
Result<std::optional<double>> header_number(const http::Request& request, std::string_view name, double max) {
  const std::string_view text = request.header(name);
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value <= max)) {
    return fail_f(ErrorCode::kInvalidArgument, "the header {} is '{}', expected a number from 0 to {}", name, text,
                  max);
  }
  return value;
}

}  // namespace

Status set_rank(const Call& call, ServiceRequest& request) {
  const http::Request& http = call.exchange->request();
  RankWish wish;
  QUERN_TRY(wish.priority, header_number(http, "x-quern-priority", kHighestPriority));
  QUERN_TRY(wish.deadline_s, header_number(http, "x-quern-deadline", 1e6));
  set_rank(call.app.config, *call.principal, wish, request);
  return {};
}

void set_rank(const ServerConfig& config, const Principal& principal, const RankWish& wish, ServiceRequest& request) {
  request.tenant = principal.tenant;
  request.priority = principal.priority;
  // A client may step back, not ahead of what its key allows.
  if (wish.priority) request.priority = std::min(request.priority, static_cast<int>(*wish.priority));
  if (wish.deadline_s) request.deadline_s = *wish.deadline_s;
  if (const double most = config.max_deadline.seconds; most > 0) {
    request.deadline_s = request.deadline_s > 0 ? std::min(request.deadline_s, most) : most;
  }
}

void record_end(App& app, const Principal& principal, RequestRecord& record, const Result<Generation>& result,
                bool embed) {
  if (!result) {
    if (result.error().code == ErrorCode::kTimeout) app.metrics.cancelled(CancelCause::kDeadline);
    return;
  }
  const GenerateStats& s = result->stats;
  record.prompt_tokens = record.prompt_tokens.value_or(0) + s.prompt_tokens;
  record.cached_tokens = record.cached_tokens.value_or(0) + s.cached_tokens;
  record.generated_tokens = record.generated_tokens.value_or(0) + s.generated_tokens;
  record.queue_s = s.queue_seconds;
  if (!embed) {
    record.first_token_s = s.first_token_seconds;
    record.finish_reason = std::string(stop_reason_name(result->completions[0].reason));
  }
  app.limits.charge(principal, s.prompt_tokens - s.cached_tokens + s.generated_tokens, now_s());
}

Status start_generation(const std::shared_ptr<Call>& call, const std::shared_ptr<Model>& model, ServiceRequest request,
                        GenerationEvents events) {
  QUERN_CHECK_OK(set_rank(*call, request));
  call->record.model = model->name;
  const bool embed = request.embed;
  auto sink = std::make_shared<CallSink>(call, model, std::move(events), embed);
  const auto id = model->service->submit(std::move(request), sink);
  if (!id) {
    if (id.error().code == ErrorCode::kBusy) call->app.metrics.queue_full();
    return tl::unexpected<Error>(id.error());
  }
  sink->set_id(*id);
  // With a pointer of its own to the model: on_end() may drop the sink's at this very moment.
  call->exchange->on_gone([weak = std::weak_ptr(sink), model = std::weak_ptr(model), id = *id] {
    const auto alive = weak.lock();
    const auto m = model.lock();
    if (!alive || !m) return;
    alive->client_gone();
    m->service->cancel(id);
  });
  return {};
}

Result<PromptFit> fit_prompt(const Model& model, std::vector<int32_t> ids, size_t n_ctx) {
  const size_t most = model.engine().info().n_ctx;
  const size_t room = n_ctx == 0 ? most : std::min(n_ctx, most);
  if (ids.size() <= room) return PromptFit{std::move(ids), 0, ""};
  const PromptPolicy policy = model.settings.prompt_policy;
  if (policy == PromptPolicy::kError) {
    return fail_f(ErrorCode::kTooLong,
                  "the prompt needs {} tokens, the context holds {}; shorten it, or let the server cut it by "
                  "prompt_policy",
                  ids.size(), room);
  }
  // Room for an answer: an eighth of the context.
  const size_t keep = room - std::max<size_t>(1, room / 8);
  const bool middle = policy == PromptPolicy::kTruncateMiddle;
  // The beginning that stays: half, or the token that begins every text of this model.
  const size_t head = middle ? keep / 2 : (!model.engine().bos_text().empty() ? 1 : 0);
  PromptFit fit{.ids = {}, .removed = ids.size() - keep, .policy = middle ? "truncate-middle" : "truncate-head"};
  const auto at = [&](size_t i) { return ids.begin() + static_cast<std::ptrdiff_t>(i); };
  fit.ids.assign(at(0), at(head));
  fit.ids.insert(fit.ids.end(), at(head + fit.removed), ids.end());
  model.metrics->truncated(fit.policy, fit.removed);
  return fit;
}

Result<PromptFit> fit_prompt(Call& call, const Model& model, std::vector<int32_t> ids, size_t n_ctx) {
  QUERN_TRY(PromptFit fit, fit_prompt(model, std::move(ids), n_ctx));
  if (fit.removed > 0) {
    call.headers.emplace_back("x-quern-truncated", fmt::format("{}; removed={}", fit.policy, fit.removed));
    call.record.truncation = fmt::format("{}: {} tokens", fit.policy, fit.removed);
  }
  return fit;
}

Result<std::string> chat_text(const Model& model, const Json& messages, const Json& tools, const Json& extra,
                              bool add_generation_prompt) {
  if (!model.chat_template) return fail(ErrorCode::kUnsupported, model.template_problem);
  return render_chat(*model.chat_template, {.messages = messages,
                                            .tools = tools,
                                            .add_generation_prompt = add_generation_prompt,
                                            .bos_token = std::string(model.engine().bos_text()),
                                            .eos_token = std::string(model.engine().eos_text()),
                                            .extra = extra.is_object() ? extra : Json::object(),
                                            .now = {}});
}

std::vector<int32_t> tokenize_prompt(const Engine& engine, std::string_view text) {
  const std::string_view bos = engine.bos_text();
  const bool has_bos = !bos.empty() && text.starts_with(bos);  // else there would be two
  return engine.tokenize(text, /*add_special=*/!has_bos, /*parse_special=*/true);
}

Result<std::vector<int32_t>> chat_prompt(const Model& model, const Json& messages, const Json& tools, const Json& extra,
                                         bool add_generation_prompt) {
  QUERN_TRY(const std::string text, chat_text(model, messages, tools, extra, add_generation_prompt));
  return tokenize_prompt(model.engine(), text);
}

void with_model(const std::shared_ptr<Call>& call, const std::string& name, std::optional<double> keep_alive,
                std::function<void(std::shared_ptr<Model>)> then) {
  const auto refuse = [call](const Error& error) {
    if (error.code != ErrorCode::kNotFound) return call->fail(error);
    call->fail(404, "invalid_request_error", error.message, "model", "model_not_found");
  };
  if (!call->principal->models.empty()) {  // a model is not even loaded for a key that may not use it
    const auto listing = call->app.models.find(name);
    if (!listing) return refuse(listing.error());
    if (!call->principal->may_use(listing->name)) {
      return refuse({ErrorCode::kNotFound, fmt::format("this API key may not use the model '{}'", listing->name)});
    }
  }
  call->app.models.acquire(name, keep_alive,
                           [call, refuse, then = std::move(then)](Result<std::shared_ptr<Model>> model) {
                             if (!model) return refuse(model.error());
                             call->record.model = (*model)->name;
                             call->app.work.post([call, model = std::move(*model), then] {
                               try {
                                 then(model);
                               } catch (const std::exception& error) {  // ours are Results: memory, or a defect
                                 call->fail({ErrorCode::kIo, fmt::format("internal error: {}", error.what())});
                               }
                             });
                           });
}

}  // namespace quern::server
