// Sampler: picks a sequence's next token from its logits. The options, and the state that they need of the text so far.
//
// The result is a pure function of (options, sample index, accepted tokens, logits, mask, position): not of the batch,
// the threads, the machine or the calls made before. sample() does not change what was accepted; the caller accepts
// the token that it goes on with. One thread at a time; a copy is independent. After a first call
// nothing is allocated while the text is within n_ctx.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sample/dry.h"
#include "sample/keep_mass.h"
#include "sample/logit_scan.h"
#include "sample/options.h"
#include "sample/token_counts.h"
#include "sample/token_mask.h"

namespace quern {

struct SampledToken {
  int32_t id = 0;
  double probability = 1;  // with which the options' distribution gives this token; 1 when greedy
  double logprob = 0;      // under the softmax of the model's own logits, before any option; 0 unless logprobs >= 0
  std::span<const TokenLogProb> top;  // the options.logprobs likeliest by those; valid until the next call
};

class Sampler {
 public:
  struct Context {
    size_t n_vocab = 0;
    size_t n_ctx = 0;                      // what -1 means for the windows of the penalties and DRY
    uint32_t sample_index = 0;             // of n samples that share a prompt: each draws numbers of its own
    std::vector<DryBreaker> dry_breakers;  // of options.dry_sequence_breakers, by make_dry_breakers
  };

  // kInvalidArgument with every problem of the options, or a bias for a token that the vocabulary lacks.
  static Result<Sampler> make(SamplingOptions options, Context context);

  // Adds prompt or generated tokens to the text that penalties and DRY look at. Ids are below n_vocab.
  void accept(std::span<const int32_t> ids);
  void accept(int32_t id) { accept(std::span<const int32_t>(&id, 1)); }
  // Takes the last `n` accepted tokens back (rejected drafts). n is at most the number accepted.
  void rewind(size_t n);

  // The next token. `logits` has n_vocab entries; `position` is the token's place in the sequence and selects the
  // random number. Fails on logits that are NaN or +infinity, on a mask too short, and when no token is allowed.
  Result<SampledToken> sample(std::span<const float> logits, uint64_t position, TokenMask mask = {});

  // The distribution that sample() draws from: candidates with weights that sum to 1, likeliest first, but by id where
  // top_k is off and more than kSorted are left. For speculative acceptance. Valid until the next call.
  Result<std::span<const Candidate>> distribution(std::span<const float> logits, TokenMask mask = {});

  [[nodiscard]] const SamplingOptions& options() const { return options_; }

 private:
  static constexpr size_t kSorted = 4096;

  Sampler(SamplingOptions options, Context context);

  [[nodiscard]] bool takes_all() const;
  [[nodiscard]] bool edits_logits(TokenMask mask) const;
  void edit_logits(TokenMask mask);
  Status scan(std::span<const float> logits, TokenMask mask);
  Result<LogitScan::Drawn> draw(std::span<const float> logits, double u, TokenMask mask);
  // Each fills candidates_ from scan_ by typical_p, top_p and min_p; top_k before them or not at all.
  void narrow_top_k();
  void narrow_all();
  double keep_nearest(const MassCut& cut, double least);
  void keep_typical(double sum, double weighted);
  void keep_top_p(double total);
  void keep_min_p();
  void apply_temperature();

  SamplingOptions options_;
  Context context_;
  size_t penalty_window_ = 0;  // 0 when no penalty is set
  size_t dry_window_ = 0;      // 0 when DRY is off
  std::vector<int32_t> history_;
  TokenCounts counts_;  // of the last penalty_window_ tokens of history_
  DryState dry_;
  // Buffers of sample().
  LogitScan scan_;      // of the logits as edited
  LogitScan raw_scan_;  // of the model's own, where they differ and log-probabilities are asked for
  std::vector<float> edited_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> scratch_;
  std::vector<TokenLogProb> top_;
};

// Uniform in [0, 1): the random number of one choice. A hash of its three arguments by SplitMix64.
double sampling_uniform(uint64_t seed, uint32_t sample_index, uint64_t position);

}  // namespace quern
