// Detokenizer: a stream of token ids to text that is whole UTF-8 at every step.
//
// A token may end inside a character; the bytes wait until the rest has come. Bytes that can no longer become a
// character are replaced by U+FFFD, one for each maximal subpart (Unicode, 3.9). Refers to the tokenizer, which
// outlives it. One thread at a time.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace quern {

class Detokenizer {
 public:
  // The usual stream continues a prompt: text_start is false.
  explicit Detokenizer(const Tokenizer& tokenizer,
                       Tokenizer::DecodeOptions options = {.render_special = false, .text_start = false})
      : tokenizer_(&tokenizer), render_special_(options.render_special), strip_(options.text_start) {}

  // The text that this token completes: valid UTF-8, perhaps empty.
  [[nodiscard]] std::string push(int32_t id);

  // The end of the stream: U+FFFD for a character that was left unfinished, else empty. May be pushed to again.
  [[nodiscard]] std::string flush();

  // Whether bytes wait for the rest of their character.
  [[nodiscard]] bool pending() const { return !pending_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  bool render_special_;
  bool strip_;
  std::string pending_;  // at most 3 bytes between calls
};

}  // namespace quern
