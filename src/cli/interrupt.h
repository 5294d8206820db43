// Ctrl-C as a flag that long work polls. While a scope lives, the first SIGINT or SIGTERM sets the flag; a second one
// before clear() ends the program at once, as it does without a scope.
//
// One scope at a time, made and destroyed by the main thread; interrupted() may be called from any thread.
#pragma once

#include <csignal>

namespace quern::cli {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  [[nodiscard]] static bool interrupted();
  // Forgets the signal: a chat's Ctrl-C ends the answer, and the next one ends the next answer.
  void clear();

 private:
  void install();

  struct sigaction old_int_ = {};
  struct sigaction old_term_ = {};
};

}  // namespace quern::cli
