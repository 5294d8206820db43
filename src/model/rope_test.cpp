// RoPE against closed formulas, computed here by libm in double.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "gguf/writer.h"

namespace quern {
namespace {

constexpr size_t kDim = 32, kHalf = kDim / 2;

// A file with nothing but what RoPE reads.
class RopeFile {
 public:
  RopeFile() { writer_.add("general.architecture", "llama"); }
  template <class T>
  RopeFile& key(const char* name, T value) {
    writer_.add(std::string("llama.rope.") + name, value);
    return *this;
  }
  RopeFile& divisors(const char* name, std::vector<float> values) {
    tensors_.push_back(std::move(values));
    const std::vector<float>& kept = tensors_.back();
    writer_.add_tensor({name, TensorType::kF32, {kept.size()}}, std::as_bytes(std::span(kept)));
    return *this;
  }
  Result<Rope> read(Rope::Options options = {}) {
    if (options.n_ctx == 0) options.n_ctx = 1000;
    QUERN_TRY(bytes_, writer_.bytes());
    QUERN_TRY(const GgufView view, GgufView::parse(bytes_, "rope.gguf"));
    return Rope::read(view, {.head_dim = kDim, .n_ctx_train = 4096}, options);
  }

 private:
  GgufWriter writer_;
  std::vector<std::vector<float>> tensors_ = [] {
    std::vector<std::vector<float>> v;
    v.reserve(4);  // the writer keeps views
    return v;
  }();
  std::vector<std::byte> bytes_;
};

// Angles per position of pair i and the factor of both tables.
void expect_table(const Result<Rope>& rope, const std::vector<double>& frequencies, double magnitude) {
  ASSERT_TRUE(rope.has_value()) << rope.error().message;
  ASSERT_EQ(rope->half(), frequencies.size());
  const size_t half = rope->half();
  for (size_t first : {0u, 1u, 777u}) {
    std::vector<float> cos(3 * half), sin(3 * half);
    rope->fill(first, 3, cos.data(), sin.data());
    for (size_t t = 0; t < 3; ++t) {
      for (size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(first + t) * frequencies[i];
        // One rounding to float, and an ulp of the double angle times the position.
        ASSERT_NEAR(cos[t * half + i], std::cos(angle) * magnitude, 1.3e-7 * magnitude) << first + t << " pair " << i;
        ASSERT_NEAR(sin[t * half + i], std::sin(angle) * magnitude, 1.3e-7 * magnitude) << first + t << " pair " << i;
      }
    }
  }
}

std::vector<double> plain(double base, size_t n_rot = kDim) {
  std::vector<double> f(n_rot / 2);
  for (size_t i = 0; i < f.size(); ++i)
    f[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(n_rot));
  return f;
}

TEST(Rope, PlainByBaseAndDimensions) {
  expect_table(RopeFile().read(), plain(10000), 1.0);
  expect_table(RopeFile().key("freq_base", 500000.0f).read(), plain(500000), 1.0);
  expect_table(RopeFile().key("dimension_count", 20u).read(), plain(10000, 20), 1.0);
  EXPECT_FALSE(RopeFile().read()->interleaved());
  EXPECT_TRUE(RopeFile().read({.interleaved = true})->interleaved());
}

TEST(Rope, OtherBaseKeyWithoutScaling) {
  RopeFile file;
  file.key("freq_base", 1e6f).key("freq_base_swa", 20000.0f).key("scaling.type", "linear").key("scaling.factor", 8.0f);
  expect_table(file.read({.base_key = "rope.freq_base_swa", .scaled = false}), plain(20000), 1.0);
}

TEST(Rope, Linear) {
  std::vector<double> f = plain(10000);
  for (double& v : f) v /= 4;
  expect_table(RopeFile().key("scaling.type", "linear").key("scaling.factor", 4.0f).read(), f, 1.0);
  // A factor without a type scales nothing.
  expect_table(RopeFile().key("scaling.factor", 4.0f).read(), plain(10000), 1.0);
}

// Peng et al., arXiv 2309.00071, section 3.2: pairs that turn more than beta_fast times within the original context
// keep their frequency, those that turn less than beta_slow times are slowed by the factor, a ramp between; both tables
// grow by 0.1 ln(factor) + 1.
TEST(Rope, Yarn) {
  const double factor = 8, original = 1024;
  std::vector<double> f = plain(10000);
  const auto correction = [&](double turns) {
    return kDim * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(10000.0));
  };
  const double low = std::floor(correction(32)), high = std::ceil(correction(1));
  for (size_t i = 0; i < kHalf; ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    f[i] = f[i] / factor * ramp + f[i] * (1 - ramp);
  }
  expect_table(RopeFile()
                   .key("scaling.type", "yarn")
                   .key("scaling.factor", 8.0f)
                   .key("scaling.original_context_length", 1024u)
                   .read(),
               f, 1 + 0.1 * std::log(factor));
}

TEST(Rope, DivisorsOfTheFile) {
  std::vector<float> divisors(kHalf);
  std::vector<double> f = plain(10000);
  for (size_t i = 0; i < kHalf; ++i) {
    divisors[i] = 1.0f + static_cast<float>(i) / 4;
    f[i] /= divisors[i];
  }
  expect_table(RopeFile().divisors("rope_freqs.weight", divisors).read(), f, 1.0);
}

// LongRoPE: short divisors up to the original context, long ones beyond; a factor on both tables.
TEST(Rope, LongRopeChoosesByTheContext) {
  const std::vector<float> twos(kHalf, 2.0f), fives(kHalf, 5.0f);
  for (const auto& [n_ctx, divisor] : {std::pair<size_t, double>{2048, 2.0}, {2049, 5.0}}) {
    std::vector<double> f = plain(10000);
    for (double& v : f) v /= divisor;
    expect_table(RopeFile()
                     .key("scaling.type", "longrope")
                     .key("scaling.original_context_length", 2048u)
                     .key("scaling.attn_factor", 1.19f)
                     .divisors("rope_factors_short.weight", twos)
                     .divisors("rope_factors_long.weight", fives)
                     .read({.n_ctx = n_ctx}),
                 f, static_cast<double>(1.19f));
  }
}

TEST(Rope, RefusesAnglesBeyondTheSine) {
  EXPECT_TRUE(RopeFile().read({.n_ctx = 10'000'000}).has_value());
  EXPECT_EQ(RopeFile().read({.n_ctx = 10'000'001}).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(RopeFile().divisors("rope_freqs.weight", std::vector<float>(kHalf, 1e-30f)).read().error().code,
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace quern
