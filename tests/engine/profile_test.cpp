// The profile against what is known otherwise: Engine::forward_bytes and forward_macs, the wall clock, the results of a
// run without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/null/null_backend.h"
#include "backend/profile/profiling_backend.h"
#include "bench/profile_report.h"
#include "tests/engine/engine_fixture.h"

namespace quern {
namespace {

constexpr double kRounding = 1e-9;
const MachineLimits kLimits{
    .isa = "x", .threads = 1, .read_bytes_per_s = 1e9, .int_macs_per_s = 1e9, .float_macs_per_s = 1e9};

std::set<std::string> operations(const ProfilePhase& phase) {
  std::set<std::string> names;
  for (const ProfileRow& row : phase.rows) names.insert(row.op);
  return names;
}

ProfileRow sum(const ProfilePhase& phase, const std::string& op = "") {
  ProfileRow all;
  for (const ProfileRow& row : phase.rows) {
    if (!op.empty() && row.op != op) continue;
    all.calls += row.calls;
    all.seconds += row.seconds;
    all.memory_bytes += row.memory_bytes;
    all.cache_bytes += row.cache_bytes;
    all.int_macs += row.int_macs;
    all.float_macs += row.float_macs;
  }
  return all;
}

void expect_parts_of_a_whole(const ProfilePhase& phase) {
  EXPECT_NEAR(sum(phase).seconds, phase.seconds, kRounding);
  for (const ProfileRow& row : phase.rows) EXPECT_GE(row.seconds, -kRounding) << row.op;
  for (const ProfileBy by : {ProfileBy::kOperation, ProfileBy::kLayer}) {
    const ProfileTable table = profile_table(phase, kLimits, by);
    double shares = 0;
    for (const ProfileLine& line : table.lines) shares += line.share_of_time;
    EXPECT_NEAR(shares, 1, 1e-6);
    EXPECT_NEAR(table.total.share_of_time, 1, 1e-6);
  }
}

TEST(Profile, NamesStepsOfEveryArchitecture) {
  const auto models = tiny_model_names();
  ASSERT_TRUE(models.has_value());
  for (const std::string& name : *models) {
    const auto engine = tiny_engine(name, TensorType::kF32, {.profile = true});
    ASSERT_TRUE(engine->generate(random_ids(20, 200, 1), {.max_tokens = 4, .ignore_eos = true}).has_value());
    const Profile profile = engine->take_profile();
    const auto names = operations(profile.decode);
    for (const char* op : {"embed", "attn.norm", "rope", "store_kv", "attention", "attn.output", "ffn.norm", "ffn.down",
                           "output.norm", "head", "sampling", "text", kOutsideTheBackend}) {
      EXPECT_TRUE(names.contains(op)) << name << " " << op;
    }
    EXPECT_TRUE(names.contains("attn.qkv")) << name;
    EXPECT_TRUE(names.contains("ffn.gate_up") || names.contains("ffn.up")) << name;
    EXPECT_EQ(profile.prompt.steps, 1u);
    EXPECT_EQ(profile.prompt.tokens, 20u);
    EXPECT_EQ(profile.decode.steps, 3u);
    EXPECT_EQ(sum(profile.decode, "ffn.down").calls, 3 * engine->info().n_layers);
    EXPECT_EQ(sum(profile.decode, "sampling").calls, 3u);
    expect_parts_of_a_whole(profile.prompt);
    expect_parts_of_a_whole(profile.decode);
    EXPECT_EQ(engine->take_profile().decode.steps, 0u);
  }
}

TEST(Profile, DecodeMovesAndMultipliesWhatTheEngineSays) {
  for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {
    const auto engine = tiny_engine("gemma3", type, {.profile = true});  // with windows
    for (const ForwardShape shape : {ForwardShape{.depth = 0}, ForwardShape{.n_sequences = 3, .depth = 100}}) {
      if (shape.depth > 0) {
        const ForwardShape before{.n_tokens = shape.depth, .n_sequences = shape.n_sequences};
        ASSERT_TRUE(engine->time_forward(before).has_value());
        const Profile prompt = engine->take_profile();
        EXPECT_EQ(prompt.decode.steps, 0u);
        expect_parts_of_a_whole(prompt.prompt);
      }
      ASSERT_TRUE(engine->time_forward(shape).has_value());
      const Profile profile = engine->take_profile();
      const ProfileRow all = sum(profile.decode);
      // Exactly, when rows of the embedding and the keys and values written are left out.
      const double other = sum(profile.decode, "embed").memory_bytes + sum(profile.decode, "store_kv").memory_bytes;
      EXPECT_EQ(all.memory_bytes - other, static_cast<double>(engine->forward_bytes(shape)));
      EXPECT_LT(other, 0.05 * all.memory_bytes);
      const double macs = all.int_macs + all.float_macs, plain = engine->forward_macs(shape);
      // Of quantized weights the head and the values are products of two rows of activations.
      const ModelConfig& c = EngineInternals::runner(*engine).model().config();
      const size_t fine = c.d_model * (c.n_vocab + c.n_layers * c.n_kv_heads * c.head_dim);
      EXPECT_EQ(macs, plain + static_cast<double>(type == TensorType::kF32 ? 0 : shape.n_sequences * fine));
      EXPECT_EQ(all.int_macs > 0, type != TensorType::kF32);
      expect_parts_of_a_whole(profile.decode);
    }
  }
}

TEST(Profile, ChangesNoResult) {
  for (const bool null : {false, true}) {
    const BackendFactory backend =
        null ? BackendFactory([](unsigned) { return make_null_backend(); }) : BackendFactory();
    std::vector<std::vector<int32_t>> ids;
    for (const bool profile : {false, true}) {
      const auto engine = tiny_engine("llama", TensorType::kQ8_0, {.n_batch = 7, .profile = profile}, backend);
      const auto result = engine->generate(random_ids(50, 256, 3), {.max_tokens = 20, .n = 2, .ignore_eos = true});
      ASSERT_TRUE(result.has_value());
      for (const Completion& c : result->completions) ids.push_back(c.ids);
      const Profile seen = engine->take_profile();
      EXPECT_EQ(seen.prompt.tokens + seen.decode.tokens, profile ? 50 + 2 * 19 : 0u);
      if (profile) expect_parts_of_a_whole(seen.decode);
    }
    EXPECT_EQ(ids[0], ids[2]);
    EXPECT_EQ(ids[1], ids[3]);
  }
}

// Figures by hand: one product, one norm, one attention.
TEST(Profile, CountsByFormula) {
  ProfilingBackend backend(make_null_backend());
  const std::vector<float> zeros(64 * 32);
  const auto source = [&](const char* name, TensorType type, size_t rows, size_t cols) {
    return TensorSource{
        .name = name, .type = type, .rows = rows, .cols = cols, .data = std::as_bytes(std::span(zeros))};
  };
  const auto gate = *backend.make_matrix(source("blk.1.ffn_gate.weight", TensorType::kQ8_0, 64, 32));
  const auto up = *backend.make_matrix(source("blk.1.ffn_up.weight", TensorType::kF32, 32, 32));
  const auto norm = *backend.make_floats(source("blk.1.post_ffw_norm.weight", TensorType::kF32, 1, 32));
  std::vector<float> x(10 * 64), y(10 * 64), z(10 * 64);
  const LinearOutput outputs[] = {{gate.get(), y.data(), true}, {up.get(), z.data(), true}};
  backend.rms_norm(x.data(), norm->floats(), 3, 32, 1e-5f, x.data());  // outside of a step: not counted
  {
    const StepTimer step(&backend);
    backend.begin_forward(/*decode=*/false, 3);
    backend.begin_layer(1);
    backend.rms_norm(x.data(), norm->floats(), 3, 32, 1e-5f, x.data());
    backend.linear(x.data(), 3, outputs);
    backend.linear(x.data(), 2, outputs);
    // Tokens at positions 5, 6, 7 and a window of 4: they see 4 each, positions 2 to 7 together.
    const std::vector<int32_t> ids = {1, 2, 3};
    backend.embed(source("token_embd.weight", TensorType::kF32, 32, 32), ids, 1.0f, x.data());
    std::vector<uint16_t> keys(2 * 8 * 64), values(2 * 8 * 64);
    const KvLayer kv{.keys = keys.data(), .values = values.data(), .n_kv_heads = 2, .head_dim = 8};
    const uint32_t page = 0;
    const SequenceSpan span{.first_token = 0, .n_tokens = 3, .first_position = 5, .pages = {&page, 1}};
    backend.attention({.q = x.data(), .out = y.data(), .n_heads = 4, .window = 4, .kv = kv, .sequences = {&span, 1}});
    backend.rope(x.data(), {.n_tokens = 3, .n_heads = 4, .head_dim = 8, .half = 4});
  }
  const Profile profile = backend.take();
  EXPECT_EQ(profile.decode.rows.size(), 0u);
  expect_parts_of_a_whole(profile.prompt);
  const ProfileRow product = sum(profile.prompt, "ffn.gate_up");
  EXPECT_EQ(product.calls, 2u);
  EXPECT_EQ(product.memory_bytes, 2.0 * (gate->bytes + up->bytes));
  EXPECT_EQ(product.cache_bytes, 5.0 * 4 * (32 + 64 + 32));
  EXPECT_EQ(product.int_macs, 2.0 * 5 * 64 * 32);  // fine: twice
  EXPECT_EQ(product.float_macs, 5.0 * 32 * 32);    // fine means nothing to floats
  EXPECT_EQ(sum(profile.prompt, "post.ffw_norm").cache_bytes, 4.0 * (2 * 3 + 1) * 32);
  const ProfileRow attention = sum(profile.prompt, "attention");
  EXPECT_EQ(attention.memory_bytes, 6.0 * 2 * 2 * 8 * sizeof(uint16_t));
  EXPECT_EQ(attention.float_macs, 3.0 * 4 * 2 * 4 * 8);
  EXPECT_EQ(sum(profile.prompt, "embed").memory_bytes, 3.0 * 32 * sizeof(float));
  EXPECT_EQ(sum(profile.prompt, "rope").cache_bytes, 4.0 * 3 * 4 * (4 * 4 + 2));
}

TEST(Profile, SharesOfTheLimit) {
  ProfilePhase phase{.steps = 1, .tokens = 1, .seconds = 10, .rows = {}};
  phase.rows.push_back({.op = "a", .layer = 0, .calls = 1, .seconds = 4, .memory_bytes = 2e9, .int_macs = 1e9});
  phase.rows.push_back({.op = "a", .layer = 1, .calls = 1, .seconds = 1, .memory_bytes = 1e9, .float_macs = 1e9});
  phase.rows.push_back({.op = "b", .layer = 1, .calls = 7, .seconds = 3, .cache_bytes = 6e9});
  phase.rows.push_back({.op = kOutsideTheBackend, .seconds = 2});
  const ProfileTable by_op = profile_table(phase, kLimits, ProfileBy::kOperation);
  ASSERT_EQ(by_op.lines.size(), 3u);
  EXPECT_EQ(by_op.lines[0].name, "a");
  EXPECT_DOUBLE_EQ(by_op.lines[0].limit_share, 0.6);
  EXPECT_EQ(by_op.lines[0].bound, Bound::kMemory);
  EXPECT_DOUBLE_EQ(by_op.lines[1].bytes_per_s, 2e9);
  EXPECT_EQ(by_op.lines[1].bound, Bound::kCache);
  EXPECT_EQ(by_op.lines[1].limit_share, 0);
  EXPECT_FALSE(by_op.lines[2].bound.has_value());
  EXPECT_DOUBLE_EQ(by_op.total.limit_share, 0.3);
  const ProfileTable by_layer = profile_table(phase, kLimits, ProfileBy::kLayer);
  ASSERT_EQ(by_layer.lines.size(), 3u);
  EXPECT_EQ(by_layer.lines[1].name, "layer 1");
  EXPECT_EQ(by_layer.lines[1].calls, 8u);
  EXPECT_EQ(by_layer.lines[2].name, kOutsideTheBackend);
}

}  // namespace
}  // namespace quern
