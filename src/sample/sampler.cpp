#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/det_math.h"
#include "base/rng.h"

namespace quern {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

size_t window_of(int32_t last_n, size_t n_ctx) {
  return last_n < 0 ? n_ctx : static_cast<size_t>(last_n);
}

// Source: Keskar et al., "CTRL", 2019, section 4.1, with the sign rule of llama.cpp's llama_sampler_penalties: a
// negative logit is multiplied, so that the penalty always lowers; then count * frequency + presence is subtracted.
float penalized(float logit, uint32_t count, const SamplingOptions& o) {
  const float repeated = logit <= 0 ? logit * o.repeat_penalty : logit / o.repeat_penalty;
  return repeated - (static_cast<float>(count) * o.frequency_penalty + o.presence_penalty);
}

void apply_mask(TokenMask mask, std::span<float> logits) {
  for (size_t base = 0; base < logits.size(); base += 32) {
    const uint32_t word = mask.words[base / 32];
    if (word == 0xffffffffu) continue;
    const size_t n = std::min<size_t>(32, logits.size() - base);
    for (size_t j = 0; j < n; ++j) {
      if (((word >> j) & 1u) == 0) logits[base + j] = kNegativeInfinity;
    }
  }
}

double sum_weights(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  return sum;
}

// weight = exp((logit - max) * scale).
void exponentiate(std::span<Candidate> candidates, double max, double scale) {
  for (Candidate& c : candidates) c.weight = det_exp_nonpositive((static_cast<double>(c.logit) - max) * scale);
}

}  // namespace

double sampling_uniform(uint64_t seed, uint32_t sample_index, uint64_t position) {
  uint64_t key = SplitMix64(seed).next();
  key = SplitMix64(key ^ sample_index).next();
  key = SplitMix64(key ^ position).next();
  return SplitMix64(key).next_double();
}

Sampler::Sampler(SamplingOptions options, Context context)
    : options_(std::move(options)), context_(std::move(context)) {
  const bool penalizes =
      options_.repeat_penalty != 1 || options_.presence_penalty != 0 || options_.frequency_penalty != 0;
  if (penalizes) penalty_window_ = window_of(options_.repeat_last_n, context_.n_ctx);
  if (options_.dry_multiplier > 0) {
    dry_window_ = std::min(window_of(options_.dry_penalty_last_n, context_.n_ctx), context_.n_ctx);
  }
  if (penalty_window_ > 0) counts_ = TokenCounts(context_.n_vocab);
  if (penalty_window_ > 0 || dry_window_ > 0) history_.reserve(context_.n_ctx);
  dry_.reserve(dry_window_);
}

Result<Sampler> Sampler::make(SamplingOptions options, Context context) {
  QUERN_CHECK_OK(validate(options));
  for (const LogitBias& b : options.logit_bias) {
    if (static_cast<size_t>(b.id) >= context.n_vocab) {
      return fail_f(ErrorCode::kInvalidArgument, "logit_bias names token {}, the vocabulary has {}", b.id,
                    context.n_vocab);
    }
  }
  std::sort(context.dry_breakers.begin(), context.dry_breakers.end());
  return Sampler(std::move(options), std::move(context));
}

void Sampler::accept(std::span<const int32_t> ids) {
  if (penalty_window_ == 0 && dry_window_ == 0) return;
  for (int32_t id : ids) {
    history_.push_back(id);
    if (penalty_window_ == 0) continue;
    counts_.add(id);
    if (history_.size() > penalty_window_) counts_.remove(history_[history_.size() - 1 - penalty_window_]);
  }
}

void Sampler::rewind(size_t n) {
  for (; n > 0 && !history_.empty(); --n) {
    if (penalty_window_ > 0) {
      counts_.remove(history_.back());
      if (history_.size() > penalty_window_) counts_.add(history_[history_.size() - 1 - penalty_window_]);
    }
    history_.pop_back();
  }
}

bool Sampler::edits_logits(TokenMask mask) const {
  return !mask.empty() || !options_.logit_bias.empty() || !counts_.entries().empty() ||
         (dry_window_ > 0 && !history_.empty());
}

void Sampler::edit_logits(TokenMask mask) {
  if (!mask.empty()) apply_mask(mask, edited_);
  for (const LogitBias& b : options_.logit_bias) edited_[static_cast<size_t>(b.id)] += b.bias;
  for (const auto& [id, count] : counts_.entries()) {
    float& logit = edited_[static_cast<size_t>(id)];
    logit = penalized(logit, count, options_);
  }
  if (dry_window_ == 0) return;
  const size_t n = std::min(dry_window_, history_.size());
  const DryParams params{options_.dry_multiplier, options_.dry_base, options_.dry_allowed_length};
  const auto window = std::span<const int32_t>(history_).last(n);
  for (const DryRepeat& r : dry_repeats(window, context_.dry_breakers, params.allowed_length, dry_)) {
    edited_[static_cast<size_t>(r.id)] -= static_cast<float>(dry_penalty(params, r.length));
  }
}

// Locally typical sampling: keeps the candidates whose surprise -ln p is nearest to the entropy, until together they
// exceed typical_p. Source: Meister et al., "Locally Typical Sampling", 2022, algorithm of section 5.
void Sampler::keep_typical(double total) {
  double entropy = 0;
  const double log_total = det_log(total);
  const double max = scan_.max();
  const auto surprise = [&](const Candidate& c) { return log_total - (static_cast<double>(c.logit) - max); };
  for (const Candidate& c : candidates_) entropy += c.weight / total * surprise(c);
  const auto more_typical = [&](const Candidate& a, const Candidate& b) {
    const double x = std::fabs(surprise(a) - entropy);
    const double y = std::fabs(surprise(b) - entropy);
    return x < y || (x == y && likelier(a, b));
  };
  // In growing slices, as a few candidates are enough as a rule and a sort of the whole vocabulary is slow.
  const double enough = static_cast<double>(options_.typical_p) * total;
  double sum = 0;
  size_t kept = 0;
  for (size_t sorted = 0, slice = 256; kept == sorted && sorted < candidates_.size(); slice *= 4) {
    const auto begin = candidates_.begin() + static_cast<ptrdiff_t>(sorted);
    sorted = std::min(candidates_.size(), sorted + slice);
    const auto end = candidates_.begin() + static_cast<ptrdiff_t>(sorted);
    std::partial_sort(begin, end, candidates_.end(), more_typical);
    while (kept < sorted) {
      sum += candidates_[kept++].weight;
      if (sum > enough) break;
    }
    if (sum > enough) break;
  }
  candidates_.resize(kept);
  std::sort(candidates_.begin(), candidates_.end(), likelier);
}

// Nucleus sampling: the likeliest candidates, up to and with the one at which their probability reaches top_p.
// Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, section 3.1.
void Sampler::keep_top_p(double total) {
  const double enough = static_cast<double>(options_.top_p) * total;
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += candidates_[i].weight;
    if (sum >= enough) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

// Keeps p >= min_p * p_max, that is logit >= max + ln min_p. Source: Nguyen et al., "Turning Up the Heat: Min-p
// Sampling", 2024, section 3.
void Sampler::keep_min_p() {
  const double least = static_cast<double>(candidates_.front().logit) + det_log(static_cast<double>(options_.min_p));
  const auto end = std::partition_point(candidates_.begin(), candidates_.end(),
                                        [&](const Candidate& c) { return static_cast<double>(c.logit) >= least; });
  candidates_.erase(end, candidates_.end());
}

// Fills candidates_ from scan_ by top_k, typical_p, top_p and min_p; weights are exp(logit - max).
void Sampler::narrow() {
  const bool takes_all = options_.top_k <= 0 || static_cast<size_t>(options_.top_k) >= scan_.logits().size();
  const bool typical = options_.typical_p < 1;
  const bool prefix = options_.top_p < 1 || options_.min_p > 0;
  const double max = scan_.max();
  if (takes_all && !typical && !prefix) {
    scan_.all(candidates_);
    return;  // apply_temperature sets the weights
  }
  double total = 0;
  if (takes_all && !typical) {
    // top_p and min_p keep a prefix of the order: take the likeliest, more of them until the prefix ends inside.
    const double least = options_.min_p > 0 ? max + det_log(static_cast<double>(options_.min_p)) : -INFINITY;
    total = options_.top_p < 1 ? scan_.exp_sum() : INFINITY;
    for (size_t k = 256;; k *= 8) {
      scan_.top(k, candidates_);
      exponentiate(candidates_, max, 1.0);
      if (candidates_.size() < k || static_cast<double>(candidates_.back().logit) < least) break;
      if (sum_weights(candidates_) >= static_cast<double>(options_.top_p) * total) break;
    }
  } else {
    takes_all ? scan_.all(candidates_) : scan_.top(static_cast<size_t>(options_.top_k), candidates_);
    exponentiate(candidates_, max, 1.0);
    total = sum_weights(candidates_);
  }
  if (typical) {
    keep_typical(total);
    total = sum_weights(candidates_);
  }
  if (options_.top_p < 1) keep_top_p(total);
  if (options_.min_p > 0) keep_min_p();
}

void Sampler::apply_temperature() {
  float max = kNegativeInfinity;  // not scan_.max(): typical_p may have dropped the likeliest
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  exponentiate(candidates_, static_cast<double>(max), 1.0 / static_cast<double>(options_.temperature));
  const double total = sum_weights(candidates_);
  for (Candidate& c : candidates_) c.weight /= total;
}

Result<std::span<const Candidate>> Sampler::distribution(std::span<const float> logits, TokenMask mask) {
  if (logits.size() != context_.n_vocab) {
    return fail_f(ErrorCode::kInvalidArgument, "{} logits for a vocabulary of {}", logits.size(), context_.n_vocab);
  }
  if (!mask.empty() && !mask.covers(logits.size())) {
    return fail_f(ErrorCode::kInvalidArgument, "a token mask of {} words for a vocabulary of {}", mask.words.size(),
                  logits.size());
  }
  if (edits_logits(mask)) {
    edited_.assign(logits.begin(), logits.end());
    edit_logits(mask);
    logits = edited_;
  }
  QUERN_CHECK_OK(scan_.scan(logits));
  if (options_.temperature == 0) {
    candidates_.assign(1, {scan_.argmax(), scan_.max(), 1.0});
  } else {
    narrow();
    apply_temperature();
  }
  return std::span<const Candidate>(candidates_);
}

Result<SampledToken> Sampler::sample(std::span<const float> logits, uint64_t position, TokenMask mask) {
  QUERN_TRY(const auto candidates, distribution(logits, mask));
  // The candidate at which the running sum passes u. Rounding may leave the whole sum below u: then the last that is
  // possible at all.
  const double u = sampling_uniform(options_.seed, context_.sample_index, position);
  const Candidate* chosen = nullptr;
  double sum = 0;
  for (const Candidate& c : candidates) {
    if (!(c.weight > 0)) continue;
    chosen = &c;
    sum += c.weight;
    if (sum > u) break;
  }
  SampledToken token{.id = chosen->id, .probability = chosen->weight, .logprob = 0, .top = {}};
  if (options_.logprobs < 0) return token;
  LogitScan* own = &scan_;
  if (scan_.logits().data() != logits.data()) {
    own = &raw_scan_;
    QUERN_CHECK_OK(raw_scan_.scan(logits));
  }
  const double exp_sum = own->exp_sum();
  token.logprob = log_prob(*own, exp_sum, token.id);
  top_log_probs(*own, exp_sum, static_cast<size_t>(options_.logprobs), scratch_, top_);
  token.top = top_;
  return token;
}

}  // namespace quern
