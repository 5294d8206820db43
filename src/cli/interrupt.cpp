#include "cli/interrupt.h"

#include <atomic>

namespace quern::cli {

namespace {

// Lock-free, hence safe in a handler and readable from every thread; no order with other data is needed.
std::atomic<bool> raised{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) {
  raised.store(true, std::memory_order_relaxed);
}

}  // namespace

InterruptScope::InterruptScope() {
  raised.store(false, std::memory_order_relaxed);
  sigaction(SIGINT, nullptr, &old_int_);
  sigaction(SIGTERM, nullptr, &old_term_);
  install();
}

InterruptScope::~InterruptScope() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool InterruptScope::interrupted() {
  return raised.load(std::memory_order_relaxed);
}

void InterruptScope::clear() {
  raised.store(false, std::memory_order_relaxed);
  install();
}

void InterruptScope::install() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  // RESETHAND makes the second signal the default one. No SA_RESTART: a blocked read must return for the flag to be
  // seen.
  action.sa_flags = SA_RESETHAND;
  // A signal that the parent chose to ignore (nohup) stays ignored.
  if (old_int_.sa_handler != SIG_IGN) sigaction(SIGINT, &action, nullptr);
  if (old_term_.sa_handler != SIG_IGN) sigaction(SIGTERM, &action, nullptr);
}

}  // namespace quern::cli
