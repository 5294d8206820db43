// Log-probabilities of tokens as OpenAI's APIs write them. Natural logarithms under the softmax of the model's own
// logits, before penalties, bias and temperature.
//
// A token that is not whole UTF-8 is written as OpenAI does, "bytes:\xe2\x80": its bytes could not be told otherwise.
// One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "quern/quern.h"

namespace quern::server {

// The bytes of a token, or how they are written where they are not UTF-8.
std::string shown_token(std::string_view bytes);

// {"token": ..., "logprob": ..., "bytes": [...], "top_logprobs": [...]}, with at most `n_top` alternatives.
void append_chat_logprob(std::string& to, const Engine& engine, int32_t id, double logprob,
                         std::span<const TokenLogProb> top, size_t n_top);

// The four lists of the completions' `logprobs`, token by token.
class LogprobLists {
 public:
  // A token of the text, by its bytes; without `logprob` for the first of a prompt, which follows nothing.
  // Alternatives as the API has them: the likeliest `n_top`, and the token itself.
  void add(const Engine& engine, std::string_view bytes, std::optional<double> logprob,
           std::span<const TokenLogProb> top, size_t n_top);

  // The lists so far as a JSON object, "null" where there is no token; then they begin anew, at the same place of the
  // text.
  std::string take();

 private:
  std::string tokens_, values_, tops_, offsets_;
  size_t offset_ = 0;  // characters of the text before the next token
};

}  // namespace quern::server
