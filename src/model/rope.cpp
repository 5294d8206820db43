#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/det_math.h"

namespace quern {

namespace {

// What det_sincos reduces without a loss of bits.
constexpr double kMaxAngle = 1e7;

// Divisors of the frequencies that the file gives, or none.
Result<std::vector<float>> read_divisors(const GgufView& file, size_t half, size_t n_ctx, size_t original_ctx) {
  const char* names[] = {"rope_freqs.weight",
                         n_ctx > original_ctx ? "rope_factors_long.weight" : "rope_factors_short.weight"};
  std::vector<float> divisors;
  for (const char* name : names) {
    const GgufTensor* t = file.find_tensor(name);
    if (t == nullptr) continue;
    const FormatInfo& f = format_info(t->type);
    if (t->n_elements() != half || !f.is_float) {
      return fail_f(ErrorCode::kCorrupt, "{}: tensor {} has {} elements, expected {} floats", file.file_name(), name,
                    t->n_elements(), half);
    }
    divisors.resize(half);
    f.decode(t->data.data(), divisors.data(), half);
    for (float d : divisors) {
      if (!(d > 0.0f) || !std::isfinite(d)) {
        return fail_f(ErrorCode::kCorrupt, "{}: tensor {} holds {}", file.file_name(), name, d);
      }
    }
  }
  return divisors;
}

struct Yarn {
  double ext_factor, beta_fast, beta_slow, original_ctx, base;
  size_t n_rot;

  // The dimension that turns `turns` times within the original context.
  [[nodiscard]] double dimension_at(double turns) const {
    return static_cast<double>(n_rot) * det_log(original_ctx / (turns * 2 * std::numbers::pi)) / (2 * det_log(base));
  }
  // How much of dimension pair i keeps its frequency.
  [[nodiscard]] double kept(size_t i) const {
    const double low = std::max(0.0, std::floor(dimension_at(beta_fast)));
    const double high = std::min(static_cast<double>(n_rot) - 1, std::ceil(dimension_at(beta_slow)));
    const double ramp = (static_cast<double>(i) - low) / std::max(0.001, high - low);
    return (1.0 - std::clamp(ramp, 0.0, 1.0)) * ext_factor;
  }
};

}  // namespace

Result<Rope> Rope::read(const GgufView& file, const ModelConfig& config, const Options& options) {
  const auto key = [&](const char* k) { return arch_key(file, k); };
  Rope rope;
  rope.interleaved_ = options.interleaved;
  QUERN_TRY(const uint64_t n_rot, file.get_u64(key("rope.dimension_count"), config.head_dim));
  if (n_rot == 0 || n_rot % 2 != 0 || n_rot > config.head_dim) {
    return fail_f(ErrorCode::kCorrupt, "{}: {} rotated dimensions in heads of {}", file.file_name(), n_rot,
                  config.head_dim);
  }
  QUERN_TRY(const float base, file.get_f32(key(options.base_key), options.base_absent));
  if (!(base > 1.0f) || !std::isfinite(base)) {
    return fail_f(ErrorCode::kCorrupt, "{}: the base of RoPE is {}", file.file_name(), base);
  }
  QUERN_TRY(const std::string_view kind, file.get_string(key("rope.scaling.type"), "none"));
  if (kind != "none" && kind != "linear" && kind != "yarn" && kind != "longrope") {
    return fail_f(ErrorCode::kUnsupported, "{}: RoPE scaling of type {}; known are linear, yarn, longrope",
                  file.file_name(), kind);
  }
  const bool stretched = options.scaled && (kind == "linear" || kind == "yarn");
  QUERN_TRY(float factor, file.get_f32(key("rope.scaling.factor"), 1.0f));
  if (!stretched || factor == 0.0f) factor = 1.0f;
  if (!(factor > 0.0f) || !std::isfinite(factor)) {
    return fail_f(ErrorCode::kCorrupt, "{}: RoPE is scaled by {}", file.file_name(), factor);
  }
  QUERN_TRY(const uint64_t original_ctx, file.get_u64(key("rope.scaling.original_context_length"), config.n_ctx_train));
  QUERN_TRY(const float attn, file.get_f32(key("rope.scaling.attn_factor"), 1.0f));
  QUERN_TRY(const float yarn_attn, file.get_f32(key("rope.scaling.yarn_attn_factor"), 1.0f));
  QUERN_TRY(const float ext, file.get_f32(key("rope.scaling.yarn_ext_factor"), 1.0f));
  QUERN_TRY(const float fast, file.get_f32(key("rope.scaling.yarn_beta_fast"), 32.0f));
  QUERN_TRY(const float slow, file.get_f32(key("rope.scaling.yarn_beta_slow"), 1.0f));
  for (float v : {attn, yarn_attn, ext, fast, slow}) {
    if (!std::isfinite(v)) return fail_f(ErrorCode::kCorrupt, "{}: a key of RoPE's scaling is {}", file.file_name(), v);
  }
  if (original_ctx == 0) return fail_f(ErrorCode::kCorrupt, "{}: RoPE's original context is 0", file.file_name());

  const size_t half = n_rot / 2;
  std::vector<float> divisors;
  if (options.scaled) {
    QUERN_TRY(divisors, read_divisors(file, half, options.n_ctx, original_ctx));
  }
  const Yarn yarn{.ext_factor = kind == "yarn" && options.scaled ? ext : 0.0,
                  .beta_fast = fast,
                  .beta_slow = slow,
                  .original_ctx = static_cast<double>(original_ctx),
                  .base = base,
                  .n_rot = n_rot};
  rope.frequencies_.resize(half);
  for (size_t i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(n_rot);
    const double full = det_pow(base, exponent) / (divisors.empty() ? 1.0 : static_cast<double>(divisors[i]));
    const double kept = yarn.ext_factor != 0.0 ? yarn.kept(i) : 0.0;
    rope.frequencies_[i] = full / factor * (1.0 - kept) + full * kept;
    if (!(std::abs(rope.frequencies_[i]) * static_cast<double>(options.n_ctx) <= kMaxAngle)) {
      return fail_f(
          ErrorCode::kUnsupported,
          "{}: RoPE turns by {:g} radians a position; over {} positions that is beyond the {:g} that this engine "
          "computes, take a smaller --ctx",
          file.file_name(), rope.frequencies_[i], options.n_ctx, kMaxAngle);
    }
  }
  if (options.scaled) rope.magnitude_ = static_cast<double>(attn) * yarn_attn;
  if (yarn.ext_factor != 0.0) rope.magnitude_ *= 1.0 + 0.1 * det_log(factor);
  return rope;
}

void Rope::fill(size_t first, size_t n, float* cos, float* sin) const {
  for (size_t t = 0; t < n; ++t) {
    for (size_t i = 0; i < half(); ++i) {
      double s, c;
      det_sincos(static_cast<double>(first + t) * frequencies_[i], &s, &c);
      cos[t * half() + i] = static_cast<float>(c * magnitude_);
      sin[t * half() + i] = static_cast<float>(s * magnitude_);
    }
  }
}

}  // namespace quern
