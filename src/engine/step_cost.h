// StepCost: learns from measured steps how long they take, and says how many prompt tokens a step may read while others
// stream. One loop owns it; not for several threads. It cannot fail.
//
// Model: seconds = decode(n_decode) + n_prompt x token(n_prompt). decode() is kept by number of decoders (1, 2, 3-4,
// 5-8,
// ...), token() by size of the chunk, as small chunks cost more per token. Both are running averages that follow within
// a few steps, since a prompt token gets dearer as its prompt grows; one step counts for little when the machine was
// busy.
#pragma once

#include <array>
#include <cstddef>

namespace quern {

class StepCost {
 public:
  // A step that computed one token for each of `n_decode` sequences and `n_prompt` tokens of prompts took `seconds`.
  void record(size_t n_decode, size_t n_prompt, double seconds);

  // The prompt tokens that a step beside `n_decode` decoders may take, from 1 to max_tokens (>= 1). The mean of such
  // steps stays 20 % below the target, so that their p99 meets it: `stall_seconds`, or where that is 0 twice a step of
  // decoding alone. There is no floor above one token: where a step of decoding takes 3.3 ms and a prompt token 0.8 ms,
  // 8 tokens would make it three times as long. A few where decoding was never measured alone; max_tokens where nothing
  // decodes. Once in kProbeInterval steps it is 1, which measures decoding anew while a long prompt is read.
  [[nodiscard]] size_t prompt_budget(size_t n_decode, double stall_seconds, size_t max_tokens) const;

  // The stall target for short prompts (kShortPrompt) where the user named none: 8 steps of decoding alone, but no more
  // than 0.1 s unless 2 steps are; a pause that a reader does not see. 0 before anything was measured.
  [[nodiscard]] double short_stall_seconds(size_t n_decode) const;

  // Estimates; 0 before anything of the kind was measured.
  [[nodiscard]] double decode_seconds(size_t n_decode) const;  // a step without prompt tokens
  [[nodiscard]] double prompt_seconds(size_t n_prompt) const;  // what so many prompt tokens add to one

  static constexpr size_t kProbeInterval = 64;
  static constexpr size_t kUnmeasuredTokens = 16;

 private:
  static constexpr size_t kBuckets = 32;
  struct Average {
    double seconds = 0;
    size_t n = 0;  // measurements; 0: `seconds` says nothing
    void add(double value);
  };
  void record_decode(size_t n_decode, double seconds);
  void record_prompt(size_t n_prompt, double seconds);
  [[nodiscard]] double token_seconds(size_t bucket) const;

  std::array<Average, kBuckets> decode_;  // a step; by bucket of n_decode
  std::array<Average, kBuckets> token_;   // a token; by bucket of n_prompt
  size_t mixed_steps_ = 0;                // since decoding was measured alone
};

}  // namespace quern
