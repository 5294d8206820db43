// What a connection has still to send, and the state of the answer that it is part of: the meeting point of the threads
// that answer and the strand that writes. Knows HTTP's framing, no sockets.
//
// A connection has one outbox. Each request opens a turn, whose number its Exchange holds: calls with the number of a
// turn that is over do nothing. Members marked "strand" are called by the connection alone, the others by any thread.
// Callbacks are called and released with no lock held.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/http.h"
#include "server/http/message.h"

namespace quern::http {

class Outbox {
 public:
  using Turn = uint64_t;
  using Callbacks = std::vector<std::function<void()>>;

  // What of a request the form of its answer hangs on.
  struct Asked {
    bool http11 = true;
    bool keep_alive = true;
    bool head = false;  // HEAD: no body
  };
  struct Shared {
    const Handlers* handlers;           // for error(); outlives the outbox
    const std::atomic<bool>* draining;  // outlives the outbox
    size_t max_backlog = 0;
  };

  // `wake` is called under the lock when there is something for the strand to do: it must post, and do nothing else.
  Outbox(const Shared& shared, std::function<void()> wake) : shared_(shared), wake_(std::move(wake)) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void respond(Turn turn, Response response);
  void begin(Turn turn, int status, std::string_view content_type, const Headers& headers);
  void write(Turn turn, std::string_view bytes);
  void end(Turn turn);
  void abort(Turn turn);
  void dropped(Turn turn);  // the last reference to the turn's Exchange
  void on_gone(Turn turn, std::function<void()> f);
  void on_drained(Turn turn, size_t below, std::function<void()> f);
  [[nodiscard]] size_t backlog(Turn turn) const;
  [[nodiscard]] bool gone(Turn turn) const;

  // Strand.
  Turn open(const Asked& asked);
  void put_interim(std::string_view bytes);  // a 1xx, before the answer
  // The peer's bytes have ended: queues a byte of the answer that is due anyway (http.h), to which a peer that is gone
  // replies with a reset.
  void probe();
  // What wake() posted has come: the next call posts again. Said apart from take(), which a full socket keeps waiting
  // while an abort or an overflow must still be heard.
  void woken();
  // Moves what is queued to `out`, which is empty.
  void take(std::string& out);
  // So many of those bytes left; returns what is to be called for it.
  Callbacks sent(size_t bytes);
  enum class Verdict : uint8_t {
    kOpen,      // the answer is not complete, or not all of it was taken
    kNext,      // complete and sent: the next request may be read
    kLast,      // complete and sent: the connection ends
    kCut,       // abort() of a chunked stream: the missing last chunk tells
    kReset,     // abort() where only a reset tells
    kOverflow,  // the client reads too slowly
  };
  [[nodiscard]] Verdict verdict() const;
  // The connection is closed: nothing is queued or woken from here on. Returns what is to be called.
  Callbacks close();

 private:
  enum class Stage : uint8_t { kDone, kOpen, kStream };
  struct Drained {
    size_t below;
    std::function<void()> f;
  };
  // Callbacks leave the lock with the caller, who drops them: their last reference may be an Exchange's.
  struct Released {
    Callbacks gone;
    std::vector<Drained> drained;
  };

  [[nodiscard]] bool ongoing(Turn turn) const {
    return !closed_ && !aborted_ && turn == turn_ && stage_ != Stage::kDone;
  }
  [[nodiscard]] bool live(Turn turn, Stage stage) const { return ongoing(turn) && stage_ == stage; }
  [[nodiscard]] size_t unsent() const { return pending_.size() + in_flight_; }
  void put_head(AnswerHead head);
  bool wants_close(const Headers& headers) const;
  Released finish();
  void wake();

  const Shared shared_;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  Turn turn_ = 0;
  Stage stage_ = Stage::kDone;
  Asked asked_;
  Framing framing_ = Framing::kLength;
  bool last_ = false;    // the connection ends after this answer
  bool probed_ = false;  // the start of the status line has been sent
  bool woken_ = false;   // and the strand has not come yet
  bool aborted_ = false;
  bool overflowed_ = false;
  bool closed_ = false;
  bool gone_ = false;  // closed or overflowing while the answer was not complete
  std::string pending_;
  size_t in_flight_ = 0;  // taken by the strand, not yet by the socket
  Callbacks on_gone_;
  std::vector<Drained> on_drained_;
};

// The Exchange of a turn. `outbox` keeps the connection alive.
std::shared_ptr<Exchange> make_exchange(std::shared_ptr<Outbox> outbox, Outbox::Turn turn, Request request);

}  // namespace quern::http
