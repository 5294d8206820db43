// Every kernel of every ISA that this machine runs equals the scalar reference, bit for bit, at odd sizes.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/half.h"
#include "base/rng.h"
#include "kernels/pack.h"
#include "kernels/ref/ref.h"
#include "kernels/shape.h"

namespace quern {
namespace {

std::vector<float> random_floats(size_t n, uint64_t seed, float scale = 1.0f) {
  SplitMix64 rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = rng.next_float() * scale;
  return v;
}

// Bits, so that NaN and the sign of zero count.
template <class T>
testing::AssertionResult same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) {
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

class Isa : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable& table() const { return *select_kernels(GetParam().c_str()); }
  const KernelTable& reference() const { return ref::table(); }
};

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const IsaInfo& isa : isas()) {
    if (isa.supported) names.emplace_back(isa.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kernels, Isa, testing::ValuesIn(supported_isas()), [](const auto& p) { return p.param; });

TEST_P(Isa, IsTheOneThatRuns) {
  EXPECT_EQ(table().isa, GetParam());
  if (GetParam() == "ref") return;
  // A supported ISA brings products of its own for every format.
  for (size_t i = 0; i < kTensorTypeCount; ++i)
    EXPECT_NE(table().matmul[i], reference().matmul[i]) << formats()[i].name;
  EXPECT_NE(table().attention_page, reference().attention_page);
}

struct PackedMatrix {
  size_t rows, cols;
  AlignedBuffer bytes;
};

PackedMatrix pack(const FormatInfo& f, size_t rows, size_t cols, const std::vector<float>& w) {
  std::vector<std::byte> file(*row_bytes(f.type, cols) * rows);
  f.encode(w.data(), file.data(), rows * cols);
  const PackedLayout layout = *packed_layout(f, rows, cols);
  PackedMatrix m{rows, cols, AlignedBuffer(layout.total_bytes)};
  const size_t groups = (rows + 15) / 16;
  pack_groups(f, layout, file, rows, cols, 0, groups, m.bytes.data());
  return m;
}

std::vector<std::byte> quantize(const KernelTable& k, const std::vector<float>& x, size_t n_tokens, size_t cols) {
  std::vector<std::byte> panels(n_tokens * activation_bytes(cols));
  for (size_t t = 0; t < n_tokens;) {
    const size_t n = panel_tokens(n_tokens - t);
    k.quantize_panel(x.data() + t * cols, n, cols, panels.data() + t * activation_bytes(cols));
    t += n;
  }
  return panels;
}

std::vector<float> multiply(const KernelTable& k, const FormatInfo& f, const PackedMatrix& m,
                            const std::vector<float>& x, size_t n_tokens) {
  const std::vector<std::byte> panels =
      m.cols % kActBlock == 0 ? quantize(k, x, n_tokens, m.cols) : std::vector<std::byte>();
  const size_t stride = m.rows + 3;
  std::vector<float> y(n_tokens * stride, 12345.0f);  // columns beyond the rows must stay
  k.matmul[static_cast<size_t>(f.type)]({.packed = m.bytes.data(),
                                         .rows = m.rows,
                                         .cols = m.cols,
                                         .group_begin = 0,
                                         .group_end = (m.rows + 15) / 16,
                                         .x = panels.data(),
                                         .x_f32 = x.data(),
                                         .n_tokens = n_tokens,
                                         .y = y.data(),
                                         .y_stride = stride});
  return y;
}

TEST_P(Isa, MatmulEqualsTheReference) {
  for (const FormatInfo& f : formats()) {
    for (size_t rows : {1u, 16u, 25u, 70u}) {
      const size_t cols = f.block_elems == 256 ? 512 : (f.is_float ? 45 : 96);
      const PackedMatrix m = pack(f, rows, cols, random_floats(rows * cols, 7 * rows));
      for (size_t n_tokens : {1u, 2u, 3u, 7u, 16u, 31u}) {
        const std::vector<float> x = random_floats(n_tokens * cols, 100 + n_tokens, 3.0f);
        ASSERT_TRUE(same_bits(multiply(table(), f, m, x, n_tokens), multiply(reference(), f, m, x, n_tokens)))
            << f.name << " " << rows << " x " << cols << ", " << n_tokens << " tokens";
      }
    }
  }
}

// Largest codes against largest activations: the 16-bit intermediate sums of some ISAs must not saturate.
TEST_P(Isa, MatmulAtTheExtremesOfTheCodes) {
  SplitMix64 rng(3);
  for (const FormatInfo& f : formats()) {
    if (f.is_float) continue;
    const size_t rows = 16, cols = 512;
    std::vector<std::byte> file(*row_bytes(f.type, cols) * rows);
    for (auto fill : {0xff, 0x77, 0x88, 0x7f, 0x80}) {
      for (auto& b : file) b = static_cast<std::byte>(fill == 0x77 ? rng.next() : static_cast<uint64_t>(fill));
      const PackedLayout layout = *packed_layout(f, rows, cols);
      PackedMatrix m{rows, cols, AlignedBuffer(layout.total_bytes)};
      pack_groups(f, layout, file, rows, cols, 0, 1, m.bytes.data());
      for (float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(cols, sign * 2.0f);
        const std::vector<float> got = multiply(table(), f, m, x, 1), want = multiply(reference(), f, m, x, 1);
        for (size_t i = 0; i < want.size(); ++i) {  // random scales may be NaN: then both are
          ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : std::memcmp(&got[i], &want[i], 4) == 0)
              << f.name << " fill " << fill << " row " << i << ": " << got[i] << " and " << want[i];
        }
      }
    }
  }
}

// The products approximate those of the decoded weights, to the error of 8-bit activations.
TEST(Matmul, ApproximatesTheDecodedWeights) {
  for (const FormatInfo& f : formats()) {
    const size_t rows = 19, cols = 512;
    const std::vector<float> w = random_floats(rows * cols, 5), x = random_floats(cols, 6);
    const PackedMatrix m = pack(f, rows, cols, w);
    std::vector<std::byte> file(*row_bytes(f.type, cols) * rows);
    f.encode(w.data(), file.data(), rows * cols);
    std::vector<float> decoded(rows * cols);
    f.decode(file.data(), decoded.data(), rows * cols);
    const std::vector<float> y = multiply(*select_kernels(nullptr), f, m, x, 1);
    for (size_t r = 0; r < rows; ++r) {
      double want = 0;
      for (size_t k = 0; k < cols; ++k) want += static_cast<double>(decoded[r * cols + k]) * x[k];
      // 512 errors of at most half a step (1/254), weights below 1: 6 sigma of their sum.
      EXPECT_LT(std::abs(y[r] - want), f.is_float ? 1e-4 : 6 * std::sqrt(512.0) * 0.5 / 254) << f.name << " row " << r;
    }
  }
}

template <TensorType Type>
void check_shape() {
  const FormatInfo& f = format_info(Type);
  if (f.is_float) return;
  constexpr FormatShape kShape = shape_of(Type);
  EXPECT_EQ(kShape.bits, f.bits) << f.name;
  EXPECT_EQ(kShape.levels, f.levels != nullptr) << f.name;
  EXPECT_EQ(kShape.zero, f.levels == nullptr ? f.zero : 0) << f.name;
  EXPECT_EQ(static_cast<uint32_t>(kShape.sub_block), f.sub_block) << f.name;
  EXPECT_EQ(kShape.has_min, f.has_min) << f.name;
  EXPECT_EQ(kShape.has_scales, f.has_scales) << f.name;
  const PackedLayout p = *packed_layout(f, 16, 256);
  constexpr size_t kBlock = block_bytes(kShape), kHeader = header_bytes(kShape);
  EXPECT_EQ(kBlock, p.low_bytes + p.high_bytes + p.scale_bytes) << f.name;
  EXPECT_EQ(kHeader, p.header_bytes) << f.name;
}

TEST(Shape, AgreesWithTheCatalogue) {
#define QUERN_FORMAT(enumerator, unused_name, unused_id) check_shape<TensorType::enumerator>();
#include "quant/catalog.def"
#undef QUERN_FORMAT
}

TEST(Pack, RefusesWhatCannotBe) {
  EXPECT_FALSE(packed_layout(format_info(TensorType::kQ4_0), 16, 33).has_value());
  EXPECT_FALSE(packed_layout(format_info(TensorType::kQ4_0), 0, 32).has_value());
  EXPECT_FALSE(packed_layout(format_info(TensorType::kF32), SIZE_MAX / 2, 64).has_value());
}

TEST_P(Isa, QuantizeEqualsTheReference) {
  for (size_t n : {1u, 2u, 4u, 8u, 16u}) {
    std::vector<float> x = random_floats(n * 128, n, 10.0f);
    for (size_t i = 0; i < 32; ++i) x[i] = 0.0f;                             // a block of zeros
    for (size_t i = 32; i < 64; ++i) x[i] = (i % 2) ? 0.5f : 127.0f;         // ties: 0.5 -> 0
    for (size_t i = 64; i < 96; ++i) x[i] = 1e-41f * static_cast<float>(i);  // subnormal
    std::vector<std::byte> a(n * activation_bytes(128)), b(a.size());
    table().quantize_panel(x.data(), n, 128, a.data());
    reference().quantize_panel(x.data(), n, 128, b.data());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << n;
  }
}

TEST_P(Isa, ElementwiseEqualsTheReference) {
  for (size_t n : {1u, 7u, 64u, 1031u}) {
    std::vector<float> a = random_floats(n, n, 100.0f), b = random_floats(n, n + 1, 5.0f), x(n), y(n);
    for (auto op : {&KernelTable::silu_mul, &KernelTable::gelu_mul, &KernelTable::add}) {
      (table().*op)(a.data(), b.data(), n, x.data());
      (reference().*op)(a.data(), b.data(), n, y.data());
      EXPECT_TRUE(same_bits(x, y)) << n;
    }
    table().rms_norm(a.data(), b.data(), 1, n, 1e-5f, x.data());
    reference().rms_norm(a.data(), b.data(), 1, n, 1e-5f, y.data());
    EXPECT_TRUE(same_bits(x, y)) << n;
    table().scale(a.data(), 1.7f, n, x.data());
    reference().scale(a.data(), 1.7f, n, y.data());
    EXPECT_TRUE(same_bits(x, y)) << n;
    std::vector<float> wide = random_floats(n, 9, 1.0f);
    for (size_t i = 0; i < n; ++i) wide[i] = std::ldexp(wide[i], static_cast<int>(i % 60) - 30);
    std::vector<uint16_t> h(n), g(n);
    table().to_f16(wide.data(), n, h.data());
    reference().to_f16(wide.data(), n, g.data());
    EXPECT_TRUE(same_bits(h, g)) << n;
  }
}

TEST_P(Isa, RopeEqualsTheReference) {
  for (bool interleaved : {false, true}) {
    for (size_t half : {4u, 16u, 20u}) {
      std::vector<float> x = random_floats(3 * 48, half), y = x;
      const std::vector<float> c = random_floats(half, 1), s = random_floats(half, 2);
      table().rope(x.data(), 3, 48, half, interleaved, c.data(), s.data());
      reference().rope(y.data(), 3, 48, half, interleaved, c.data(), s.data());
      EXPECT_TRUE(same_bits(x, y));
    }
  }
}

// Activations near the least float: no infinite reciprocal, no code beyond 127, sums that are those of the codes.
TEST_P(Isa, QuantizeOfTinyActivations) {
  for (float tiny : {1e-45f, 1e-41f, 3e-37f, 1e-36f, 1.1e-36f, 1e-30f}) {
    std::vector<float> x(32);
    for (size_t i = 0; i < 32; ++i) x[i] = tiny * (static_cast<float>(i) - 16.0f) / 16.0f;
    std::vector<std::byte> panel(activation_bytes(32));
    table().quantize_panel(x.data(), 1, 32, panel.data());
    int8_t q[32];
    int32_t nsum;
    std::memcpy(q, panel.data(), 32);
    std::memcpy(&nsum, panel.data() + 32 + 8, 4);
    int32_t sum = 0;
    for (size_t i = 0; i < 32; ++i) {
      sum += q[i];
      EXPECT_EQ(q[i], tiny > 1e-36f ? static_cast<int>(std::nearbyint((static_cast<double>(i) - 16) / 16 * 127)) : 0)
          << tiny;
    }
    EXPECT_EQ(nsum, -sum) << tiny;
  }
}

// A NaN or an infinity among the activations shows in every product of its token, and in no other token's.
TEST_P(Isa, BadActivationsAreNotSwallowed) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ6_K, TensorType::kF16}) {
      const FormatInfo& f = format_info(type);
      const PackedMatrix m = pack(f, 20, 256, random_floats(20 * 256, 8));
      std::vector<float> x = random_floats(3 * 256, 9);
      x[256 + 77] = bad;
      const std::vector<float> y = multiply(table(), f, m, x, 3);
      for (size_t r = 0; r < 20; ++r) {
        EXPECT_TRUE(std::isfinite(y[r]) && std::isfinite(y[2 * 23 + r])) << f.name;
        EXPECT_FALSE(std::isfinite(y[23 + r])) << f.name << " row " << r;
      }
    }
  }
}

struct AttentionState {
  std::vector<float> max, sum, out;
  AttentionState(size_t n, size_t dim) : max(n, -INFINITY), sum(n, 0.0f), out(n * dim, 0.0f) {}
};

// Two pages, then a merge with a second segment; windows that begin and end anywhere, some empty.
AttentionState run_attention(const KernelTable& k, size_t n, size_t dim) {
  const std::vector<float> q = random_floats(n * dim, dim), kv = random_floats(4 * 64 * dim, 11, 4.0f);
  std::vector<uint16_t> pages(kv.size());
  for (size_t i = 0; i < kv.size(); ++i) pages[i] = f32_to_f16(kv[i]);
  std::vector<float> scratch(attention_scratch_floats(dim));
  std::vector<uint8_t> begin(n), end(n);
  AttentionState total(n, dim), segment(n, dim);
  SplitMix64 rng(n);
  for (size_t page = 0; page < 2; ++page) {
    for (size_t i = 0; i < n; ++i) {
      begin[i] = static_cast<uint8_t>(rng.next() % 65);
      end[i] = static_cast<uint8_t>(rng.next() % 65);
      if (page == 0 && i % 3 == 0) begin[i] = 0, end[i] = 64;
    }
    AttentionPageArgs args{.q = q.data(),
                           .keys = pages.data() + page * 64 * dim,
                           .values = pages.data() + (2 + page) * 64 * dim,
                           .head_dim = dim,
                           .n_queries = n,
                           .begin = begin.data(),
                           .end = end.data(),
                           .max = total.max.data(),
                           .sum = total.sum.data(),
                           .out = total.out.data(),
                           .scratch = scratch.data()};
    if (page == 0) {  // fetching ahead changes nothing
      args.next_keys = args.keys + 64 * dim;
      args.next_values = args.values + 64 * dim;
    }
    k.attention_page(args);
    args.max = segment.max.data(), args.sum = segment.sum.data(), args.out = segment.out.data();
    k.attention_page(args);
    if (page == 1) k.attention_merge(args, total.max.data(), total.sum.data(), total.out.data());
  }
  return total;
}

TEST_P(Isa, AttentionEqualsTheReference) {
  for (size_t dim : {8u, 16u, 24u, 40u, 64u, 72u, 80u, 256u}) {  // multiples of 8, not only of a vector
    for (size_t n : {1u, 2u, 3u, 6u, 13u}) {
      const AttentionState a = run_attention(table(), n, dim), b = run_attention(reference(), n, dim);
      EXPECT_TRUE(same_bits(a.max, b.max)) << n << " " << dim;
      EXPECT_TRUE(same_bits(a.sum, b.sum)) << n << " " << dim;
      EXPECT_TRUE(same_bits(a.out, b.out)) << n << " " << dim;
    }
  }
}

TEST(Attention, IsASoftmaxWeightedSum) {
  const size_t dim = 16;
  const AttentionState s = run_attention(ref::table(), 1, dim);
  ASSERT_GT(s.sum[0], 0.0f);
  // With equal values of one, the weighted sum over the sum of weights is one.
  std::vector<float> q = random_floats(dim, 1), scratch(attention_scratch_floats(dim)), out(dim, 0.0f);
  std::vector<uint16_t> keys(64 * dim, f32_to_f16(0.25f)), values(64 * dim, f32_to_f16(1.0f));
  float max = -INFINITY, sum = 0.0f;
  const uint8_t begin = 3, end = 40;
  ref::table().attention_page({.q = q.data(),
                               .keys = keys.data(),
                               .values = values.data(),
                               .head_dim = dim,
                               .n_queries = 1,
                               .begin = &begin,
                               .end = &end,
                               .max = &max,
                               .sum = &sum,
                               .out = out.data(),
                               .scratch = scratch.data()});
  EXPECT_FLOAT_EQ(sum, 37.0f);
  for (float v : out) EXPECT_FLOAT_EQ(v / sum, 1.0f);
}

TEST(Select, RefusesUnknownNames) {
  EXPECT_EQ(select_kernels("sse9"), nullptr);
  EXPECT_NE(select_kernels(nullptr), nullptr);
  EXPECT_STREQ(select_kernels("ref")->isa, "ref");
}

}  // namespace
}  // namespace quern
