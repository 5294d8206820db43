#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/null/null_backend.h"
#include "gguf/writer.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Weights : public testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = static_cast<float>(i);
    const auto data = std::as_bytes(std::span(values_));
    GgufWriter w;
    w.add_tensor({"wide", TensorType::kF32, {4, 6}}, data.first(96));
    w.add_tensor({"bias", TensorType::kF32, {5}}, data.first(20));
    w.add_tensor({"other", TensorType::kF32, {3}}, data.first(12));
    w.add_tensor({"rope_freqs.weight", TensorType::kF32, {3}}, data.first(12));
    bytes_ = w.bytes().value();
    view_.emplace(GgufView::parse(bytes_, "w.gguf").value());
    cpu_ = make_cpu_backend({.threads = 1, .isa = "ref"}).value();
  }
  // What row `r` of W gives for a vector of ones: the sum of the row.
  std::vector<float> row_sums(const Matrix& m) {
    const std::vector<float> ones(m.cols, 1.0f);
    std::vector<float> y(m.rows);
    const LinearOutput out{&m, y.data()};
    cpu_->linear(ones.data(), 1, {&out, 1});
    return y;
  }

  std::vector<float> values_ = std::vector<float>(24);
  std::vector<std::byte> bytes_;
  std::optional<GgufView> view_;
  std::unique_ptr<Backend> cpu_;
};

TEST_F(Weights, TakesMatricesWholeAndInParts) {
  WeightLoader loader(*view_, *cpu_);
  const auto whole = loader.matrix("wide", 6, 4);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_THAT(row_sums(**whole), ElementsAre(6, 22, 38, 54, 70, 86));
  const auto part = loader.rows_of("wide", 6, 2, 3, 4);
  ASSERT_TRUE(part.has_value()) << part.error().message;
  EXPECT_THAT(row_sums(**part), ElementsAre(38, 54, 70));
  EXPECT_EQ(loader.matrix_bytes(), (*whole)->bytes + (*part)->bytes);
}

TEST_F(Weights, TakesVectorsAndTables) {
  WeightLoader loader(*view_, *cpu_);
  const auto bias = loader.vector("bias", 5);
  ASSERT_TRUE(bias.has_value());
  EXPECT_EQ((*bias)->floats()[4], 4.0f);
  const auto table = loader.table("wide", 6, 4);
  ASSERT_TRUE(table.has_value());
  const int32_t id = 3;
  float row[4];
  cpu_->embed(*table, {&id, 1}, 2.0f, row);
  EXPECT_THAT(row, ElementsAre(24, 26, 28, 30));
  const auto none = loader.optional_vector("absent", 5);
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(*none, nullptr);
}

TEST_F(Weights, NamesWhatIsMissingOrOfAnotherShape) {
  WeightLoader loader(*view_, *cpu_);
  for (const Error& e : {loader.matrix("wide", 4, 6).error(), loader.matrix("wide", 6, 5).error(),
                         loader.rows_of("wide", 7, 0, 6, 4).error(), loader.table("wide", 5, 4).error()}) {
    EXPECT_EQ(e.code, ErrorCode::kCorrupt);
    EXPECT_THAT(e.message, HasSubstr("w.gguf: tensor wide is 6 x 4"));
  }
  EXPECT_THAT(loader.vector("nothing", 4).error().message, HasSubstr("nothing"));
  EXPECT_FALSE(loader.optional_vector("bias", 4).has_value());  // there, but wrong: not the same as absent
}

TEST_F(Weights, TellsWhatNobodyAskedFor) {
  const auto null = make_null_backend();
  WeightLoader loader(*view_, *null);
  ASSERT_TRUE(loader.vector("bias", 5).has_value());
  EXPECT_THAT(loader.unused(), ElementsAre("wide", "other"));  // RoPE's divisors are read elsewhere
}

}  // namespace
}  // namespace quern
