#include "server/http/outbox.h"

#include <algorithm>

#include "server/http/target.h"

namespace quern::http {

void Outbox::wake() {
  if (woken_) return;
  woken_ = true;
  wake_();
}

bool Outbox::wants_close(const Headers& headers) const {
  return std::any_of(headers.begin(), headers.end(), [](const auto& field) {
    return equal_ignoring_case(field.first, "connection") && list_has(field.second, "close");
  });
}

void Outbox::put_head(AnswerHead head) {
  last_ = !asked_.keep_alive || head.framing == Framing::kUntilClose || wants_close(*head.headers) ||
          shared_.draining->load(std::memory_order_relaxed);
  head.close = last_;
  head.say_alive = !asked_.http11;
  const std::string bytes = format_head(head);
  pending_.append(bytes, probed_ ? kStatusLineStart.size() : 0);
}

Outbox::Released Outbox::finish() {
  stage_ = Stage::kDone;
  return {std::exchange(on_gone_, {}), std::exchange(on_drained_, {})};
}

void Outbox::respond(Turn turn, Response response) {
  Released released;
  const std::lock_guard lock(mutex_);
  if (!live(turn, Stage::kOpen)) return;
  const bool body = has_body(response.status);
  put_head({.status = response.status,
            .content_type = body ? std::string_view(response.content_type) : std::string_view{},
            .headers = &response.headers,
            .framing = body ? Framing::kLength : Framing::kNone,
            .length = response.body.size()});
  if (body && !asked_.head) pending_ += response.body;
  released = finish();
  wake();
}

void Outbox::begin(Turn turn, int status, std::string_view content_type, const Headers& headers) {
  const std::lock_guard lock(mutex_);
  if (!live(turn, Stage::kOpen)) return;
  framing_ = !has_body(status) ? Framing::kNone : asked_.http11 ? Framing::kChunked : Framing::kUntilClose;
  put_head({.status = status, .content_type = content_type, .headers = &headers, .framing = framing_});
  if (asked_.head) framing_ = Framing::kNone;
  stage_ = Stage::kStream;
  wake();
}

void Outbox::write(Turn turn, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (!live(turn, Stage::kStream) || framing_ == Framing::kNone || overflowed_) return;
  if (framing_ == Framing::kChunked) {
    append_chunk(pending_, bytes);
  } else {
    pending_ += bytes;
  }
  overflowed_ = unsent() > shared_.max_backlog;
  if (overflowed_) gone_ = true;
  wake();
}

void Outbox::end(Turn turn) {
  Released released;
  const std::lock_guard lock(mutex_);
  if (!live(turn, Stage::kStream)) return;
  if (framing_ == Framing::kChunked) pending_ += "0\r\n\r\n";
  if (!overflowed_) released = finish();
  wake();
}

void Outbox::abort(Turn turn) {
  Released released;
  const std::lock_guard lock(mutex_);
  if (!ongoing(turn)) return;
  aborted_ = true;
  released = {std::exchange(on_gone_, {}), std::exchange(on_drained_, {})};
  wake();
}

void Outbox::dropped(Turn turn) {
  bool unanswered = false;
  {
    const std::lock_guard lock(mutex_);
    unanswered = live(turn, Stage::kOpen);
  }
  if (!unanswered) return abort(turn);
  constexpr std::string_view kCode = "internal_error", kMessage = "the request was dropped without an answer";
  respond(turn, shared_.handlers->error ? shared_.handlers->error(500, kCode, kMessage)
                                        : error_response(500, kCode, kMessage));
}

void Outbox::on_gone(Turn turn, std::function<void()> f) {
  {
    const std::lock_guard lock(mutex_);
    if (turn != turn_ || stage_ == Stage::kDone || aborted_) return;
    if (!closed_) {
      on_gone_.push_back(std::move(f));
      return;
    }
  }
  f();
}

void Outbox::on_drained(Turn turn, size_t below, std::function<void()> f) {
  const std::lock_guard lock(mutex_);
  if (!ongoing(turn) || overflowed_) return;
  on_drained_.push_back({below, std::move(f)});
  if (unsent() < below) wake();
}

size_t Outbox::backlog(Turn turn) const {
  const std::lock_guard lock(mutex_);
  return turn == turn_ ? unsent() : 0;
}

bool Outbox::gone(Turn turn) const {
  const std::lock_guard lock(mutex_);
  return turn == turn_ && gone_;
}

Outbox::Turn Outbox::open(const Asked& asked) {
  const std::lock_guard lock(mutex_);
  asked_ = asked;
  stage_ = Stage::kOpen;
  last_ = probed_ = false;
  return ++turn_;
}

void Outbox::put_interim(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  pending_ += bytes;
}

void Outbox::probe() {
  const std::lock_guard lock(mutex_);
  if (stage_ == Stage::kOpen && !probed_) {
    probed_ = true;
    pending_ += kStatusLineStart;
  } else if (stage_ == Stage::kStream && framing_ == Framing::kChunked && unsent() == 0) {
    pending_ += '0';
  }
}

void Outbox::woken() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
}

void Outbox::take(std::string& out) {
  const std::lock_guard lock(mutex_);
  out.swap(pending_);
  in_flight_ += out.size();
}

Outbox::Callbacks Outbox::sent(size_t bytes) {
  Callbacks due;
  const std::lock_guard lock(mutex_);
  in_flight_ -= bytes;
  if (overflowed_) return due;
  const auto is_due = [&](const Drained& drained) { return unsent() < drained.below; };
  for (Drained& drained : on_drained_) {
    if (is_due(drained)) due.push_back(std::move(drained.f));
  }
  std::erase_if(on_drained_, is_due);
  return due;
}

Outbox::Verdict Outbox::verdict() const {
  const std::lock_guard lock(mutex_);
  if (overflowed_) return Verdict::kOverflow;
  if (aborted_) return stage_ == Stage::kStream && framing_ == Framing::kChunked ? Verdict::kCut : Verdict::kReset;
  if (stage_ != Stage::kDone || unsent() > 0) return Verdict::kOpen;
  return last_ ? Verdict::kLast : Verdict::kNext;
}

Outbox::Callbacks Outbox::close() {
  Released released;
  const std::lock_guard lock(mutex_);
  if (closed_) return {};
  closed_ = true;
  gone_ = gone_ || (stage_ != Stage::kDone && !aborted_);
  pending_ = {};
  in_flight_ = 0;
  released = {std::exchange(on_gone_, {}), std::exchange(on_drained_, {})};
  return std::move(released.gone);
}

namespace {

class TurnExchange final : public Exchange {
 public:
  TurnExchange(std::shared_ptr<Outbox> outbox, Outbox::Turn turn, Request request)
      : outbox_(std::move(outbox)), turn_(turn), request_(std::move(request)) {}
  ~TurnExchange() override { outbox_->dropped(turn_); }

  const Request& request() const override { return request_; }
  Request& mutable_request() override { return request_; }
  void respond(Response response) override { outbox_->respond(turn_, std::move(response)); }
  void begin(int status, std::string content_type, Headers headers) override {
    outbox_->begin(turn_, status, content_type, headers);
  }
  void write(std::string bytes) override { outbox_->write(turn_, bytes); }
  void end() override { outbox_->end(turn_); }
  void abort() override { outbox_->abort(turn_); }
  void on_gone(std::function<void()> f) override { outbox_->on_gone(turn_, std::move(f)); }
  size_t backlog() const override { return outbox_->backlog(turn_); }
  void on_drained(size_t below, std::function<void()> f) override { outbox_->on_drained(turn_, below, std::move(f)); }
  bool gone() const override { return outbox_->gone(turn_); }

 private:
  const std::shared_ptr<Outbox> outbox_;
  const Outbox::Turn turn_;
  Request request_;
};

}  // namespace

std::shared_ptr<Exchange> make_exchange(std::shared_ptr<Outbox> outbox, Outbox::Turn turn, Request request) {
  return std::make_shared<TurnExchange>(std::move(outbox), turn, std::move(request));
}

}  // namespace quern::http
