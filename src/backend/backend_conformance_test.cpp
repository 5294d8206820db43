// What backend.h says, held against plain double arithmetic. Every backend that computes runs all of it: the CPU with
// each instruction set, on one thread and on three.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/backend.h"
#include "backend/null/null_backend.h"
#include "base/half.h"
#include "base/rng.h"
#include "kernels/kernels.h"

namespace quern {
namespace {

std::vector<float> random_floats(size_t n, uint64_t seed, float scale = 1.0f) {
  SplitMix64 rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = rng.next_float() * scale;
  return v;
}

TensorSource source(const std::vector<float>& values, size_t rows, size_t cols) {
  return {.name = "t", .type = TensorType::kF32, .rows = rows, .cols = cols, .data = std::as_bytes(std::span(values))};
}

struct Choice {
  std::string isa;
  unsigned threads;
};

std::vector<Choice> choices() {
  std::vector<Choice> all;
  for (const IsaInfo& isa : isas()) {
    for (unsigned threads : {1u, 3u}) {
      if (isa.supported) all.push_back({isa.name, threads});
    }
  }
  return all;
}

class Conformance : public testing::TestWithParam<Choice> {
 protected:
  void SetUp() override {
    auto made = make_cpu_backend({.threads = GetParam().threads, .isa = GetParam().isa});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    backend_ = std::move(*made);
    ASSERT_EQ(backend_->info().detail, GetParam().isa);
  }
  std::unique_ptr<Backend> backend_;
};

INSTANTIATE_TEST_SUITE_P(Cpu, Conformance, testing::ValuesIn(choices()),
                         [](const auto& p) { return p.param.isa + "_threads_" + std::to_string(p.param.threads); });

TEST_P(Conformance, BuffersAreZeroedOrRefused) {
  for (size_t bytes : {0u, 1u, 100000u}) {
    const auto b = backend_->make_buffer(bytes);
    ASSERT_TRUE(b.has_value());
    ASSERT_NE((*b)->data, nullptr);
    const auto* p = static_cast<const unsigned char*>((*b)->data);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(p[i], 0);
  }
  const auto huge = backend_->make_buffer(SIZE_MAX / 2);
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().code, ErrorCode::kResource);
}

TEST_P(Conformance, ThreadsAreClamped) {
  backend_->set_threads(0);
  EXPECT_EQ(backend_->info().threads, 1u);
  backend_->set_threads(1000);
  EXPECT_EQ(backend_->info().threads, GetParam().threads);
}

TEST_P(Conformance, MatricesAndFloatsRefuseShortData) {
  const std::vector<float> w = random_floats(63, 1);
  for (const TensorSource& s : {source(w, 8, 8), source(w, SIZE_MAX, 8), source(w, 8, SIZE_MAX / 16)}) {
    EXPECT_FALSE(backend_->make_matrix(s).has_value());
    EXPECT_FALSE(backend_->make_floats(s).has_value());
  }
  TensorSource blocks = source(w, 1, 33);
  blocks.type = TensorType::kQ8_0;
  EXPECT_FALSE(backend_->make_matrix(blocks).has_value());
  EXPECT_FALSE(backend_->make_floats(blocks).has_value());
}

TEST_P(Conformance, Linear) {
  const size_t cols = 37;
  const std::vector<float> w1 = random_floats(100 * cols, 1), w2 = random_floats(5 * cols, 2);
  const auto m1 = backend_->make_matrix(source(w1, 100, cols)), m2 = backend_->make_matrix(source(w2, 5, cols));
  ASSERT_TRUE(m1.has_value() && m2.has_value());
  for (size_t n : {0u, 1u, 3u, 33u}) {
    const std::vector<float> x = random_floats(n * cols, 3);
    std::vector<float> y1(n * 100), y2(n * 5);
    const LinearOutput outputs[] = {{m1->get(), y1.data()}, {m2->get(), y2.data()}};
    backend_->linear(x.data(), n, outputs);
    for (size_t t = 0; t < n; ++t) {
      for (size_t r = 0; r < 105; ++r) {
        const float* row = r < 100 ? &w1[r * cols] : &w2[(r - 100) * cols];
        double want = 0;
        for (size_t k = 0; k < cols; ++k) want += static_cast<double>(row[k]) * x[t * cols + k];
        ASSERT_NEAR(r < 100 ? y1[t * 100 + r] : y2[t * 5 + r - 100], want, 1e-5) << t << " " << r;
      }
    }
  }
}

TEST_P(Conformance, EmbedGatherAndBias) {
  const std::vector<float> table = random_floats(50 * 6, 4);
  std::vector<int32_t> ids;
  for (int i = 0; i < 40; ++i) ids.push_back((i * 7) % 50);
  std::vector<float> x(ids.size() * 6);
  backend_->embed(source(table, 50, 6), ids, 3.0f, x.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], table[static_cast<size_t>(ids[i / 6]) * 6 + i % 6] * 3.0f);
  const uint32_t rows[] = {1, 17, 39};
  std::vector<float> some(18);
  backend_->gather_rows(x.data(), rows, 6, some.data());
  for (size_t i = 0; i < 18; ++i) ASSERT_EQ(some[i], x[rows[i / 6] * 6 + i % 6]);
  const std::vector<float> bias = random_floats(6, 5);
  backend_->add_bias(some.data(), bias.data(), 3, 6);
  for (size_t i = 0; i < 18; ++i) ASSERT_EQ(some[i], x[rows[i / 6] * 6 + i % 6] + bias[i % 6]);
}

// Large enough that several threads share each.
TEST_P(Conformance, ElementWise) {
  const size_t rows = 300, cols = 130, n = rows * cols;
  const std::vector<float> a = random_floats(n, 6, 4.0f), b = random_floats(n, 7), w = random_floats(cols, 8);
  std::vector<float> out(n);
  backend_->add(a.data(), b.data(), n, out.data());
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], a[i] + b[i]);
  backend_->scale(a.data(), 0.3f, n, out.data());
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], a[i] * 0.3f);
  backend_->silu_mul(a.data(), b.data(), n, out.data());
  for (size_t i = 0; i < n; ++i) {
    const double g = a[i];
    ASSERT_NEAR(out[i], g / (1 + std::exp(-g)) * b[i], 2e-6) << i;
  }
  backend_->gelu_mul(a.data(), b.data(), n, out.data());
  for (size_t i = 0; i < n; ++i) {
    const double g = a[i], u = std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
    ASSERT_NEAR(out[i], 0.5 * g * (1 + std::tanh(u)) * b[i], 4e-6) << i;
  }
  backend_->rms_norm(a.data(), w.data(), rows, cols, 1e-5f, out.data());
  for (size_t r = 0; r < rows; ++r) {
    double square = 0;
    for (size_t k = 0; k < cols; ++k) square += static_cast<double>(a[r * cols + k]) * a[r * cols + k];
    const double scale = 1 / std::sqrt(square / cols + 1e-5);
    for (size_t k = 0; k < cols; ++k) ASSERT_NEAR(out[r * cols + k], a[r * cols + k] * scale * w[k], 1e-6);
  }
}

TEST_P(Conformance, Rope) {
  const size_t n = 100, heads = 3, dim = 40, half = 16;
  const std::vector<float> x = random_floats(n * heads * dim, 9), c = random_floats(n * half, 10),
                           s = random_floats(n * half, 11);
  for (bool interleaved : {false, true}) {
    std::vector<float> y = x;
    backend_->rope(y.data(), {.n_tokens = n,
                              .n_heads = heads,
                              .head_dim = dim,
                              .half = half,
                              .interleaved = interleaved,
                              .cos = c.data(),
                              .sin = s.data()});
    for (size_t row = 0; row < n * heads; ++row) {
      const float *from = &x[row * dim], *to = &y[row * dim];
      for (size_t i = 0; i < half; ++i) {
        const size_t p = interleaved ? 2 * i : i, q = interleaved ? 2 * i + 1 : i + half;
        const double cos = c[row / heads * half + i], sin = s[row / heads * half + i];
        ASSERT_NEAR(to[p], from[p] * cos - from[q] * sin, 1e-6);
        ASSERT_NEAR(to[q], from[p] * sin + from[q] * cos, 1e-6);
      }
      for (size_t i = 2 * half; i < dim; ++i) ASSERT_EQ(to[i], from[i]);
    }
  }
}

// Two sequences of a ragged batch, their pages in no order, with and without a window; one page moved by copy_page.
TEST_P(Conformance, AttentionOverPages) {
  const size_t heads = 6, kv_heads = 2, dim = 24, n_pages = 12;
  KvLayer kv{.n_kv_heads = kv_heads, .head_dim = dim};
  kv.page_stride = kv.page_elements() + 40;
  const auto k_buffer = backend_->make_buffer(n_pages * kv.page_stride * 2);
  const auto v_buffer = backend_->make_buffer(n_pages * kv.page_stride * 2);
  ASSERT_TRUE(k_buffer.has_value() && v_buffer.has_value());
  kv.keys = static_cast<uint16_t*>((*k_buffer)->data);
  kv.values = static_cast<uint16_t*>((*v_buffer)->data);
  const std::vector<uint32_t> before[] = {{7, 2, 9, 0, 5, 11}, {3, 8}};
  std::vector<uint32_t> after[] = {{7, 2, 10, 0, 5, 11}, {3, 8}};
  const size_t lengths[] = {350, 70};
  std::vector<float> k[2], v[2];
  for (size_t i = 0; i < 2; ++i) {
    k[i] = random_floats(lengths[i] * kv_heads * dim, 20 + i, 2.0f),
    v[i] = random_floats(lengths[i] * kv_heads * dim, 30 + i);
    const SequenceSpan all{.first_token = 0, .n_tokens = lengths[i], .first_position = 0, .pages = before[i]};
    backend_->store_kv(kv, {&all, 1}, k[i].data(), v[i].data());
  }
  backend_->copy_page(kv, 9, 10);
  const SequenceSpan spans[] = {{.first_token = 0, .n_tokens = 60, .first_position = 290, .pages = after[0]},
                                {.first_token = 60, .n_tokens = 1, .first_position = 69, .pages = after[1]}};
  const std::vector<float> q = random_floats(61 * heads * dim, 40);
  std::vector<float> out(q.size());
  for (size_t window : {0u, 1u, 50u, 300u}) {
    backend_->attention({.q = q.data(),
                         .out = out.data(),
                         .n_heads = heads,
                         .scale = 0.25f,
                         .window = window,
                         .kv = kv,
                         .sequences = spans});
    for (size_t row = 0; row < 61 * heads; ++row) {
      const size_t t = row / heads, h = row % heads / (heads / kv_heads), i = t < 60 ? 0 : 1;
      const size_t position = t < 60 ? 290 + t : 69;
      const size_t low = window != 0 && position + 1 > window ? position + 1 - window : 0;
      std::vector<double> want(dim, 0.0);
      double total = 0;
      for (size_t p = low; p <= position; ++p) {
        const size_t at = (p * kv_heads + h) * dim;
        double score = 0;
        for (size_t d = 0; d < dim; ++d) score += 0.25 * q[row * dim + d] * f16_to_f32(f32_to_f16(k[i][at + d]));
        total += std::exp(score);
        for (size_t d = 0; d < dim; ++d) want[d] += std::exp(score) * f16_to_f32(f32_to_f16(v[i][at + d]));
      }
      for (size_t d = 0; d < dim; ++d) {
        ASSERT_NEAR(out[row * dim + d], want[d] / total, 2e-6) << "window " << window << " row " << row;
      }
    }
  }
}

TEST(NullBackend, KeepsTheContractOfMemory) {
  const auto null = make_null_backend();
  const std::vector<float> w = random_floats(64, 1);
  const auto m = null->make_matrix(source(w, 8, 8));
  ASSERT_TRUE(m.has_value());
  EXPECT_EQ((*m)->rows, 8u);
  EXPECT_EQ((*m)->cols, 8u);
  const auto b = null->make_buffer(1000);
  ASSERT_TRUE(b.has_value());
  for (size_t i = 0; i < 250; ++i) EXPECT_EQ((*b)->floats()[i], 0.0f);
  EXPECT_FALSE(null->make_buffer(SIZE_MAX / 2).has_value());
  EXPECT_FALSE(null->make_floats(source(w, SIZE_MAX / 2, 8)).has_value());
}

TEST(NullBackend, NextTokensSpreadOverTheVocabulary) {
  std::vector<int32_t> ids;
  std::vector<int> seen(97, 0);
  for (int i = 0; i < 2000; ++i) {
    const int32_t id = null_next_token(ids, 97);
    ASSERT_GE(id, 0);
    ASSERT_LT(id, 97);
    ++seen[static_cast<size_t>(id)];
    ids.push_back(id);
  }
  for (int count : seen) EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace quern
