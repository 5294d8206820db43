#include "bench/kernel_speed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/half.h"
#include "base/rng.h"
#include "bench/statistics.h"
#include "kernels/pack.h"

namespace quern {

namespace {

constexpr size_t kCols = 2048;
constexpr size_t kFarBytes = size_t{256} << 20;  // far beyond the last cache of most processors
constexpr size_t kNearRows = 256;                // times kCols: within a core's second cache for most formats
constexpr size_t kPromptTokens = 64;
constexpr size_t kHeadDim = 128;
constexpr size_t kPageElements = kHeadDim * kPagePositions;

// The median time of a call; samples are long enough for the clock, and few where a call is long.
template <class Fn>
double seconds_per_call(Fn&& fn) {
  constexpr double kSample = 0.002, kBudget = 0.2;
  constexpr size_t kSamples = 7;
  const auto time = [&](size_t calls) {
    const double start = now_s();
    for (size_t i = 0; i < calls; ++i) fn();
    return now_s() - start;
  };
  time(1);
  size_t calls = 1;
  while (time(calls) < kSample) calls *= 2;
  std::vector<double> samples;
  for (const double end = now_s() + kBudget; samples.empty() || (samples.size() < kSamples && now_s() < end);) {
    samples.push_back(time(calls) / static_cast<double>(calls));
  }
  return median(samples);
}

std::vector<float> random_floats(size_t n, uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<float> values(n);
  for (float& v : values) v = rng.next_float();
  return values;
}

class KernelBench {
 public:
  KernelBench(const KernelTable& kernels, const std::function<bool(const KernelRow&)>& visit)
      : kernels_(kernels), visit_(visit), x_(random_floats(kPromptTokens * kCols, 1)), panels_(panel_bytes()) {
    for (size_t t = 0; t < kPromptTokens; t += 16) {
      kernels_.quantize_panel(x_.data() + t * kCols, 16, kCols, panels_.data() + t * activation_bytes(kCols));
    }
  }

  Status run() {
    if (panels_.data() == nullptr) return no_memory();
    for (const FormatInfo& format : formats()) {
      QUERN_CHECK_OK(matmul(format, 1));
      QUERN_CHECK_OK(matmul(format, kPromptTokens));
    }
    QUERN_CHECK_OK(attention(4, kFarBytes, Bound::kMemory));
    QUERN_CHECK_OK(attention(48, kPageElements * 8, Bound::kFloat));
    rms_norm();
    silu_mul();
    quantize();
    return {};
  }

 private:
  static size_t panel_bytes() { return kPromptTokens * activation_bytes(kCols); }
  static tl::unexpected<Error> no_memory() {
    return fail_f(ErrorCode::kResource, "no memory for a benchmark of {} bytes", kFarBytes);
  }

  void report(KernelRow row, double bytes, double macs, double seconds) {
    row.bytes_per_s = bytes / seconds;
    row.macs_per_s = macs / seconds;
    going_ = visit_(row);
  }

  // Packed groups are alike: one is made, the others are copies.
  Status matmul(const FormatInfo& format, size_t n_tokens) {
    if (!going_) return {};
    const auto row = row_bytes(format.type, kCols);
    QUERN_TRY(const PackedLayout group, packed_layout(format, kGroupRows, kCols));
    const size_t groups = n_tokens == 1 ? kFarBytes / group.group_bytes : kNearRows / kGroupRows;
    AlignedBuffer packed(groups * group.group_bytes);
    if (!row || packed.data() == nullptr) return no_memory();
    std::vector<std::byte> source(*row * kGroupRows);
    const std::vector<float> weights = random_floats(kGroupRows * kCols, 2);
    for (size_t r = 0; r < kGroupRows; ++r) format.encode(weights.data() + r * kCols, source.data() + r * *row, kCols);
    pack_groups(format, group, source, kGroupRows, kCols, 0, 1, packed.data());
    for (size_t g = 1; g < groups; ++g) {
      std::memcpy(packed.data() + g * group.group_bytes, packed.data(), group.group_bytes);
    }
    std::vector<float> y(n_tokens * groups * kGroupRows);
    const MatmulArgs args{.packed = packed.data(),
                          .rows = groups * kGroupRows,
                          .cols = kCols,
                          .group_begin = 0,
                          .group_end = groups,
                          .x = n_tokens == 1 ? one_panel() : panels_.data(),
                          .x_f32 = x_.data(),
                          .n_tokens = n_tokens,
                          .y = y.data(),
                          .y_stride = groups * kGroupRows};
    const MatmulFn fn = kernels_.matmul[static_cast<size_t>(format.type)];
    const double seconds = seconds_per_call([&] { fn(args); });
    const Bound prompt = format.is_float ? Bound::kFloat : Bound::kInteger;
    report({.kernel = "matmul",
            .format = std::string(format.name),
            .rows = n_tokens,
            .bound = n_tokens == 1 ? Bound::kMemory : prompt},
           static_cast<double>(packed.size()), static_cast<double>(args.rows * kCols * n_tokens), seconds);
    return {};
  }

  const std::byte* one_panel() {
    one_.resize(activation_bytes(kCols));
    kernels_.quantize_panel(x_.data(), 1, kCols, one_.data());
    return one_.data();
  }

  // Walks `bytes` of pages, keys and values.
  Status attention(size_t n_queries, size_t bytes, Bound bound) {
    if (!going_) return {};
    const size_t page_bytes = 2 * kPageElements * sizeof(uint16_t);
    const size_t pages = std::max<size_t>(1, bytes / page_bytes);
    AlignedBuffer buffer(pages * page_bytes);
    if (buffer.data() == nullptr) return no_memory();
    auto* halves = buffer.as<uint16_t>();
    const std::vector<float> values = random_floats(2 * kPageElements, 3);
    for (size_t i = 0; i < values.size(); ++i) halves[i] = f32_to_f16(values[i]);
    for (size_t p = 1; p < pages; ++p) std::memcpy(buffer.data() + p * page_bytes, buffer.data(), page_bytes);
    const std::vector<float> q = random_floats(n_queries * kHeadDim, 4);
    std::vector<float> max(n_queries), sum(n_queries), out(n_queries * kHeadDim);
    std::vector<float> scratch(attention_scratch_floats(kHeadDim));
    const std::vector<uint8_t> begin(n_queries, 0), end(n_queries, kPagePositions);
    const double seconds = seconds_per_call([&] {
      std::fill(max.begin(), max.end(), -INFINITY);
      std::fill(sum.begin(), sum.end(), 0.0f);
      std::fill(out.begin(), out.end(), 0.0f);
      for (size_t p = 0; p < pages; ++p) {
        const uint16_t* page = halves + p * 2 * kPageElements;
        const uint16_t* next = p + 1 < pages ? page + 2 * kPageElements : nullptr;
        kernels_.attention_page({.q = q.data(),
                                 .keys = page,
                                 .values = page + kPageElements,
                                 .head_dim = kHeadDim,
                                 .n_queries = n_queries,
                                 .begin = begin.data(),
                                 .end = end.data(),
                                 .max = max.data(),
                                 .sum = sum.data(),
                                 .out = out.data(),
                                 .scratch = scratch.data(),
                                 .next_keys = next,
                                 .next_values = next != nullptr ? next + kPageElements : nullptr});
      }
    });
    report({.kernel = "attention_page", .format = {}, .rows = n_queries, .bound = bound},
           static_cast<double>(buffer.size()), static_cast<double>(pages * n_queries * 2 * kPageElements), seconds);
    return {};
  }

  void rms_norm() {
    if (!going_) return;
    const std::vector<float> weight = random_floats(kCols, 5);
    std::vector<float> out(x_.size());
    const double seconds =
        seconds_per_call([&] { kernels_.rms_norm(x_.data(), weight.data(), kPromptTokens, kCols, 1e-5f, out.data()); });
    elementwise("rms_norm", 2.0 * sizeof(float), 2, seconds);
  }

  void silu_mul() {
    if (!going_) return;
    const std::vector<float> up = random_floats(x_.size(), 6);
    std::vector<float> out(x_.size());
    const double seconds = seconds_per_call([&] { kernels_.silu_mul(x_.data(), up.data(), x_.size(), out.data()); });
    elementwise("silu_mul", 3.0 * sizeof(float), 1, seconds);
  }

  void quantize() {
    if (!going_) return;
    const double seconds = seconds_per_call([&] {
      for (size_t t = 0; t < kPromptTokens; t += 16) {
        kernels_.quantize_panel(x_.data() + t * kCols, 16, kCols, panels_.data() + t * activation_bytes(kCols));
      }
    });
    elementwise("quantize_panel", sizeof(float) + static_cast<double>(kActBlockBytes) / kActBlock, 1, seconds);
  }

  void elementwise(const char* name, double bytes_each, double macs_each, double seconds) {
    const auto n = static_cast<double>(x_.size());
    report({.kernel = name, .format = {}, .rows = kPromptTokens, .bound = Bound::kCache}, n * bytes_each, n * macs_each,
           seconds);
  }

  const KernelTable& kernels_;
  const std::function<bool(const KernelRow&)>& visit_;
  std::vector<float> x_;
  AlignedBuffer panels_;
  std::vector<std::byte> one_;
  bool going_ = true;
};

}  // namespace

std::string_view bound_name(Bound bound) {
  switch (bound) {
    case Bound::kMemory:
      return "memory";
    case Bound::kInteger:
      return "integer";
    case Bound::kFloat:
      return "float";
    case Bound::kCache:
      return "cache";
  }
  return "unknown";
}

double KernelRow::share(const MachineLimits& limits) const {
  switch (bound) {
    case Bound::kMemory:
      return bytes_per_s / limits.read_bytes_per_s;
    case Bound::kInteger:
      return macs_per_s / limits.int_macs_per_s;
    case Bound::kFloat:
      return macs_per_s / limits.float_macs_per_s;
    case Bound::kCache:
      break;
  }
  return 0;
}

Status bench_kernels(const KernelTable& kernels, const std::function<bool(const KernelRow&)>& visit) {
  return KernelBench(kernels, visit).run();
}

}  // namespace quern
