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

// weight = exp((logit - max) * scale). In blocks with a loop for each step, so that compilers make vectors of them.
void exponentiate(std::span<Candidate> candidates, double max, double scale) {
  constexpr size_t kBlock = 64;
  double x[kBlock];
  for (size_t base = 0; base < candidates.size(); base += kBlock) {
    const auto block = candidates.subspan(base, std::min(kBlock, candidates.size() - base));
    for (size_t i = 0; i < block.size(); ++i) x[i] = (static_cast<double>(block[i].logit) - max) * scale;
    for (size_t i = 0; i < block.size(); ++i) x[i] = x[i] > kExpLeast ? x[i] : kExpLeast;
    for (size_t i = 0; i < block.size(); ++i) x[i] = det_exp_term(x[i]);
    for (size_t i = 0; i < block.size(); ++i) block[i].weight = x[i];
  }
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

bool Sampler::takes_all() const {
  return options_.top_k <= 0 || static_cast<size_t>(options_.top_k) >= context_.n_vocab;
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
// With p = exp(x) / sum, x = logit - max: the surprise is ln sum - x, the entropy ln sum - (sum of p x).
void Sampler::keep_typical(double sum, double weighted) {
  keep_mass({.max = scan_.max(),
             .centre = weighted / sum,
             .enough = static_cast<double>(options_.typical_p) * sum,
             .inclusive = false},
            candidates_, scratch_);
}

// The same, and keep_top_p, for all the vocabulary but what min_p drops: candidates are taken from within a distance of
// the centre, which grows until they are enough. Returns the sum of weights that is kept.
double Sampler::keep_nearest(const MassCut& cut, double least) {
  for (double reach = 4; reach <= 1024; reach *= 2) {
    const double slack = reach * 1e-9;  // rounding drops none that the key counts as within reach
    scan_.within(std::max(least, cut.centre - reach - slack), cut.centre + reach + slack, candidates_);
    exponentiate(candidates_, cut.max, 1.0);
    double sum = 0;
    for (const Candidate& c : candidates_) sum += cut.key(c) <= reach ? c.weight : 0.0;
    if (cut.reached(sum)) return keep_mass(cut, candidates_, scratch_);
  }
  scan_.within(least, 0, candidates_);
  exponentiate(candidates_, cut.max, 1.0);
  return keep_mass(cut, candidates_, scratch_);
}

// Nucleus sampling: the likeliest candidates, up to and with the one at which their probability reaches top_p.
// Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, section 3.1.
void Sampler::keep_top_p(double total) {
  const double enough = static_cast<double>(options_.top_p) * total;
  keep_mass({.max = scan_.max(), .centre = 0, .enough = enough, .inclusive = true}, candidates_, scratch_);
}

// Keeps p >= min_p * p_max, that is logit >= max + ln min_p. Source: Nguyen et al., "Turning Up the Heat: Min-p
// Sampling", 2024, section 3.
void Sampler::keep_min_p() {
  float max = kNegativeInfinity;  // not scan_.max(): typical_p may have dropped the likeliest
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  const double least = det_log(static_cast<double>(options_.min_p));
  std::erase_if(candidates_, [&](const Candidate& c) { return static_cast<double>(c.logit) - max < least; });
}

// Of the likeliest top_k.
void Sampler::narrow_top_k() {
  scan_.top(static_cast<size_t>(options_.top_k), candidates_);
  exponentiate(candidates_, scan_.max(), 1.0);
  double total = sum_weights(candidates_);
  if (options_.typical_p < 1) {
    double weighted = 0;
    for (const Candidate& c : candidates_) weighted += c.weight * (static_cast<double>(c.logit) - scan_.max());
    keep_typical(total, weighted);
    total = sum_weights(candidates_);
  }
  if (options_.top_p < 1) keep_top_p(total);
  if (options_.min_p > 0) keep_min_p();
}

// Of the whole vocabulary: only what may be kept is looked at, where the stages allow.
void Sampler::narrow_all() {
  const double max = scan_.max();
  const double least = options_.min_p > 0 ? det_log(static_cast<double>(options_.min_p)) : -INFINITY;
  const double top_p = static_cast<double>(options_.top_p);
  if (options_.typical_p < 1) {
    const auto [sum, weighted] = scan_.moments();
    const double enough = static_cast<double>(options_.typical_p) * sum;
    keep_nearest({.max = max, .centre = weighted / sum, .enough = enough, .inclusive = false}, -INFINITY);
    if (options_.top_p < 1) keep_top_p(sum_weights(candidates_));
    if (options_.min_p > 0) keep_min_p();
  } else if (options_.top_p < 1) {
    // What is enough by the lower bound of the total, and by the upper one too, is what the total itself gives. The few
    // likely tokens, most of the total, are summed exactly, so that the bounds are close.
    constexpr float kLikely = -8;
    scan_.from(kLikely, candidates_);
    exponentiate(candidates_, max, 1.0);
    const double head = sum_weights(candidates_);
    const auto [low, high] = scan_.exp_sum_bounds(kLikely);
    MassCut cut{.max = max, .centre = 0, .enough = top_p * (head + low), .inclusive = true};
    if (keep_nearest(cut, least) < top_p * (head + high)) {
      cut.enough = top_p * scan_.exp_sum();
      keep_nearest(cut, least);
    }
  } else {
    scan_.within(least, 0, candidates_);
  }
  if (candidates_.size() <= kSorted) std::sort(candidates_.begin(), candidates_.end(), likelier);
}

void Sampler::apply_temperature() {
  float max = kNegativeInfinity;  // not scan_.max(): typical_p may have dropped the likeliest
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  exponentiate(candidates_, static_cast<double>(max), 1.0 / static_cast<double>(options_.temperature));
  const double total = sum_weights(candidates_);
  for (Candidate& c : candidates_) c.weight /= total;
}

// Checks the arguments and scans the logits, as the mask, the biases and the penalties leave them.
Status Sampler::scan(std::span<const float> logits, TokenMask mask) {
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
  return scan_.scan(logits);
}

Result<std::span<const Candidate>> Sampler::distribution(std::span<const float> logits, TokenMask mask) {
  QUERN_CHECK_OK(scan(logits, mask));
  if (options_.temperature == 0) {
    candidates_.assign(1, {scan_.argmax(), scan_.max(), 1.0});
  } else {
    takes_all() ? narrow_all() : narrow_top_k();
    apply_temperature();
  }
  return std::span<const Candidate>(candidates_);
}

// The candidate at which the running sum passes u. Rounding may leave the whole sum below u: then the last that is
// possible at all.
Result<LogitScan::Drawn> Sampler::draw(std::span<const float> logits, double u, TokenMask mask) {
  const bool narrows = !takes_all() || options_.typical_p < 1 || options_.top_p < 1 || options_.min_p > 0;
  if (options_.temperature > 0 && !narrows) {
    QUERN_CHECK_OK(scan(logits, mask));
    return scan_.draw(1.0 / static_cast<double>(options_.temperature), u);
  }
  QUERN_TRY(const auto candidates, distribution(logits, mask));
  const Candidate* chosen = nullptr;
  double sum = 0;
  for (const Candidate& c : candidates) {
    if (!(c.weight > 0)) continue;
    chosen = &c;
    sum += c.weight;
    if (sum > u) break;
  }
  return LogitScan::Drawn{chosen->id, chosen->weight};
}

Result<SampledToken> Sampler::sample(std::span<const float> logits, uint64_t position, TokenMask mask) {
  const double u = sampling_uniform(options_.seed, context_.sample_index, position);
  QUERN_TRY(const LogitScan::Drawn drawn, draw(logits, u, mask));
  SampledToken token{.id = drawn.id, .probability = drawn.probability, .logprob = 0, .top = {}};
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
