// StopMatcher: finds stop strings in streamed text, across the borders of the pieces that it comes in.
//
// The text ends where the first stop string is complete; of several complete at the same byte the longest counts. The
// emitted text is all before that stop string's first byte: no part of it is ever emitted, as text that may be its
// beginning is held back until it is decided. What is held back begins with a stop string's first byte, so whole UTF-8
// in gives whole UTF-8 out. Time is linear in the text for each stop string (Knuth, Morris, Pratt, "Fast pattern
// matching in strings", 1977), whatever the text. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

class StopMatcher {
 public:
  // No stop strings is fine: all text passes. kInvalidArgument for an empty string, or more than 64 strings or 4096
  // bytes in one.
  static Result<StopMatcher> make(std::vector<std::string> stops);

  // Takes the next piece, gives the text that is now safe to emit, valid until the next call. Empty once stopped.
  std::string_view feed(std::string_view piece);

  // The text ended otherwise: gives what was held back. Empty when stopped.
  std::string_view finish();

  // The index of the stop string that ended the text.
  [[nodiscard]] std::optional<size_t> stopped() const { return stopped_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<uint32_t> border;  // border[i]: length of the longest proper prefix of text[0, i) that is its suffix
    size_t matched = 0;            // how many bytes of the pattern the text so far ends with, at most
  };

  // Moves every pattern on by a byte; true when one is complete, then in stopped_.
  bool advance(char byte);

  std::vector<Pattern> patterns_;
  std::string pending_;  // held back, then the current piece
  size_t emitted_ = 0;   // bytes of pending_ that were given out by the last call
  std::optional<size_t> stopped_;
};

}  // namespace quern
