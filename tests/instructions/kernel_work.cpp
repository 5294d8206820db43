#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>

#include "base/aligned.h"
#include "base/half.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "tests/instructions/work.h"

namespace quern {
namespace {

constexpr size_t kCols = 1024;
constexpr size_t kRows = 4 * kGroupRows;  // the reference: one group
constexpr size_t kHeadDim = 64;
constexpr TensorType kFormats[] = {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ8_0,
                                   TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_NL,
                                   TensorType::kF16,  TensorType::kBF16, TensorType::kF32};

std::vector<float> random_floats(size_t n, uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<float> values(n);
  for (float& v : values) v = rng.next_float();
  return values;
}

struct Matrix {
  AlignedBuffer packed, panel;
  std::vector<float> x, y;
  MatmulArgs args;
};

// One row is encoded, the others are copies: encoding is slow under an emulator, and kernels do not look at values.
std::function<void()> prepare_matmul(const KernelTable& table, TensorType type, size_t rows, size_t n_tokens) {
  const FormatInfo& format = format_info(type);
  auto m = std::make_shared<Matrix>();
  const std::vector<float> weights = random_floats(kCols, 1);
  std::vector<std::byte> row(row_bytes(type, kCols).value());
  format.encode(weights.data(), row.data(), kCols);
  std::vector<std::byte> source;
  for (size_t r = 0; r < rows; ++r) source.insert(source.end(), row.begin(), row.end());
  const PackedLayout layout = packed_layout(format, rows, kCols).value();
  m->packed = AlignedBuffer(layout.total_bytes);
  pack_groups(format, layout, source, rows, kCols, 0, rows / kGroupRows, m->packed.data());
  m->x = random_floats(n_tokens * kCols, 2);
  m->y.resize(n_tokens * rows);
  m->panel = AlignedBuffer(n_tokens * activation_bytes(kCols));
  table.quantize_panel(m->x.data(), n_tokens, kCols, m->panel.data());
  m->args = {.packed = m->packed.data(),
             .rows = rows,
             .cols = kCols,
             .group_begin = 0,
             .group_end = rows / kGroupRows,
             .x = m->panel.data(),
             .x_f32 = m->x.data(),
             .n_tokens = n_tokens,
             .y = m->y.data(),
             .y_stride = rows};
  return [m, fn = table.matmul[static_cast<size_t>(type)]] { fn(m->args); };
}

struct Attention {
  std::vector<float> q, max, sum, out, scratch;
  std::vector<uint16_t> keys, values;
  std::vector<uint8_t> begin, end;
};

// A whole page against the heads of one token, or the triangle of a tile of a prompt.
std::function<void()> prepare_attention(const KernelTable& table, size_t n_queries, bool causal) {
  auto a = std::make_shared<Attention>();
  a->q = random_floats(n_queries * kHeadDim, 3);
  a->max.resize(n_queries);
  a->sum.resize(n_queries);
  a->out.resize(n_queries * kHeadDim);
  a->scratch.resize(attention_scratch_floats(kHeadDim));
  for (float v : random_floats(kHeadDim * kPagePositions, 4)) a->keys.push_back(f32_to_f16(v));
  for (float v : random_floats(kHeadDim * kPagePositions, 5)) a->values.push_back(f32_to_f16(v));
  a->begin.assign(n_queries, 0);
  for (size_t i = 0; i < n_queries; ++i) {
    a->end.push_back(static_cast<uint8_t>(causal ? kPagePositions - n_queries + i + 1 : kPagePositions));
  }
  return [a, n_queries, fn = table.attention_page] {
    std::fill(a->max.begin(), a->max.end(), -INFINITY);
    std::fill(a->sum.begin(), a->sum.end(), 0.0f);
    fn({.q = a->q.data(),
        .keys = a->keys.data(),
        .values = a->values.data(),
        .head_dim = kHeadDim,
        .n_queries = n_queries,
        .begin = a->begin.data(),
        .end = a->end.data(),
        .max = a->max.data(),
        .sum = a->sum.data(),
        .out = a->out.data(),
        .scratch = a->scratch.data()});
  };
}

struct Rows {
  std::vector<float> x, other, out;
  AlignedBuffer panel;
};

// fn(table, rows): 16 rows of kCols.
template <class Fn>
std::function<std::function<void()>()> prepare_rows(const KernelTable& table, Fn fn) {
  return [&table, fn] {
    auto rows = std::make_shared<Rows>();
    rows->x = random_floats(16 * kCols, 6);
    rows->other = random_floats(16 * kCols, 7);
    rows->out.resize(16 * kCols);
    rows->panel = AlignedBuffer(16 * activation_bytes(kCols));
    return [rows, &table, fn] { fn(table, *rows); };
  };
}

void add_elementwise(const KernelTable& table, const std::string& isa, std::vector<Work>& list) {
  constexpr double kElements = 16.0 * kCols;
  const auto add = [&](const char* name, auto fn) { list.push_back({isa + name, kElements, prepare_rows(table, fn)}); };
  add("quantize_panel", [](const KernelTable& t, Rows& r) { t.quantize_panel(r.x.data(), 16, kCols, r.panel.data()); });
  add("rms_norm",
      [](const KernelTable& t, Rows& r) { t.rms_norm(r.x.data(), r.other.data(), 16, kCols, 1e-5f, r.out.data()); });
  add("silu_mul",
      [](const KernelTable& t, Rows& r) { t.silu_mul(r.x.data(), r.other.data(), 16 * kCols, r.out.data()); });
}

}  // namespace

std::vector<Work> kernel_work() {
  std::vector<Work> list;
  for (const IsaInfo& info : isas()) {
    if (!info.supported) continue;
    const KernelTable& table = *info.table;
    const std::string isa = std::string(info.name) + " ";
    const size_t rows = isa == "ref " ? kGroupRows : kRows;
    for (TensorType type : kFormats) {
      for (size_t n_tokens : {size_t{1}, size_t{16}}) {
        list.push_back({isa + "matmul " + std::string(format_info(type).name) + " tokens " + std::to_string(n_tokens),
                        static_cast<double>(rows * kCols * n_tokens),
                        [&table, type, rows, n_tokens] { return prepare_matmul(table, type, rows, n_tokens); }});
      }
    }
    constexpr double kPageMacs = 2.0 * kHeadDim * kPagePositions;
    list.push_back(
        {isa + "attention_page decode", 3 * kPageMacs, [&table] { return prepare_attention(table, 3, false); }});
    list.push_back(
        {isa + "attention_page prompt", 48 * kPageMacs, [&table] { return prepare_attention(table, 48, true); }});
    add_elementwise(table, isa, list);
  }
  return list;
}

}  // namespace quern
