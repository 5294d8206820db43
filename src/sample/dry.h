// DRY ("don't repeat yourself"): lowers the logits of tokens that would continue a repeat of earlier text.
//
// A token t that followed an earlier copy of the last n tokens (n the longest such, n >= allowed_length) loses
// multiplier * base^(n - allowed_length). A sequence breaker ends the text that may count as a repeat: n is at most the
// number of tokens after the last breaker. Source: p-e-w, "DRY: A modern repetition penalty",
// github.com/oobabooga/text-generation-webui pull request 5677, and llama_sampler_dry of llama.cpp, whose order of
// steps and limits (40 bytes a breaker, 20 tokens of its tail) are kept.
//
// Pure functions; one thread at a time per DryState.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quern {

// Token sequences that end a repeat: a head token, and what must follow it (often nothing). Lists of them are sorted.
struct DryBreaker {
  int32_t head;
  std::vector<int32_t> tail;

  auto operator<=>(const DryBreaker&) const = default;
};

// What turns breaker text into tokens: the text of a token, and the ids of a text (no special tokens added).
struct DryVocabulary {
  size_t n_vocab;
  std::function<std::string_view(int32_t)> piece;
  std::function<std::vector<int32_t>(std::string_view)> tokenize;
};

// Every token whose text contains a breaker, and every token whose end begins one, with the tokens of the breaker's
// rest as its tail. One pass over the vocabulary per breaker: make once per model and set of strings, not per request.
std::vector<DryBreaker> make_dry_breakers(std::span<const std::string> strings, const DryVocabulary& vocabulary);

struct DryParams {
  float multiplier;
  float base;
  int32_t allowed_length;
};

struct DryRepeat {
  int32_t id;
  uint32_t length;
};

// Buffers that are kept from call to call. reserve() spares them all growth up to a window of n.
struct DryState {
  void reserve(size_t n) {
    match.reserve(n);
    repeats.reserve(n);
  }

  std::vector<uint32_t> match;
  std::vector<DryRepeat> repeats;
};

// The tokens that would continue a repeat within `window` (oldest first), each once with its longest repeat, by id.
// O(window). The span is valid until the next call with the same state.
std::span<const DryRepeat> dry_repeats(std::span<const int32_t> window, std::span<const DryBreaker> breakers,
                                       int32_t allowed_length, DryState& state);

// What a token that would continue a repeat of `length` loses. The power is kept below the greatest float.
double dry_penalty(const DryParams& params, uint32_t length);

}  // namespace quern
