#include "backend/profile/profiling_backend.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace quern {

namespace {

// Calls of some twenty decode steps.
constexpr size_t kLongLog = 8192;

// What a tensor is for, without its place: "blk.3.attn_q.weight" is attn_q. The names are GGUF's, of any architecture.
std::string role_of(std::string_view tensor) {
  if (tensor.starts_with("blk.")) {
    const size_t dot = tensor.find('.', 4);
    if (dot != std::string_view::npos) tensor.remove_prefix(dot + 1);
  }
  if (const size_t dot = tensor.rfind('.'); dot != std::string_view::npos) tensor = tensor.substr(0, dot);
  return std::string(tensor);
}

// attn_q, attn_k and attn_v are attn.qkv; ffn_gate and ffn_up are ffn.gate_up; attn_norm alone is attn.norm.
std::string join_roles(std::span<const std::string_view> roles) {
  // A product with the embedding table is that of a model without a head of its own.
  if (roles.size() == 1 && (roles[0] == "output" || roles[0] == "token_embd")) return "head";
  const size_t cut = roles[0].find('_');
  const auto family = roles[0].substr(0, cut);
  const auto related = [&](std::string_view r) { return r.find('_') == cut && r.starts_with(family); };
  if (cut == std::string_view::npos || !std::all_of(roles.begin(), roles.end(), related)) {
    return fmt::format("{}", fmt::join(roles, "+"));
  }
  std::vector<std::string_view> parts;
  for (const std::string_view role : roles) {
    const auto part = role.substr(cut + 1);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);  // parts of one tensor
  }
  const bool letters = std::all_of(parts.begin(), parts.end(), [](std::string_view p) { return p.size() == 1; });
  return fmt::format("{}.{}", family, fmt::join(parts, letters ? "" : "_"));
}

size_t token_count(std::span<const SequenceSpan> sequences) {
  size_t n = 0;
  for (const SequenceSpan& s : sequences) n += s.n_tokens;
  return n;
}

}  // namespace

void ProfilingBackend::begin_forward(bool decode, size_t n_tokens) {
  Phase* phase = decode ? &decode_ : &prompt_;
  if (phase != phase_) sum_up();
  phase_ = phase;
  layer_ = kNoLayer;
  phase_->steps += in_step_ ? 1 : 0;
  phase_->tokens += in_step_ ? n_tokens : 0;
}

void ProfilingBackend::note(std::string_view op, const Cost& cost, double seconds) {
  if (in_step_) log_.push_back({.key = {op, layer_}, .seconds = seconds, .cost = cost});
}

void ProfilingBackend::end_step(double seconds) {
  in_step_ = false;
  phase_->seconds += seconds;
  if (log_.size() >= kLongLog) sum_up();
}

void ProfilingBackend::sum_up() {
  for (const Call& call : log_) {
    Counter& c = phase_->counters[call.key];
    ++c.calls;
    c.seconds += call.seconds;
    c.cost.memory_bytes += call.cost.memory_bytes;
    c.cost.cache_bytes += call.cost.cache_bytes;
    c.cost.int_macs += call.cost.int_macs;
    c.cost.float_macs += call.cost.float_macs;
  }
  log_.clear();
}

Profile ProfilingBackend::take() {
  sum_up();
  return {.prompt = take(prompt_), .decode = take(decode_)};
}

ProfilePhase ProfilingBackend::take(Phase& phase) {
  ProfilePhase out{.steps = phase.steps, .tokens = phase.tokens, .seconds = phase.seconds, .rows = {}};
  double inside = 0;
  for (const auto& [key, c] : phase.counters) {
    out.rows.push_back({.op = std::string(key.op),
                        .layer = key.layer == kNoLayer ? std::nullopt : std::optional(key.layer),
                        .calls = c.calls,
                        .seconds = c.seconds,
                        .memory_bytes = c.cost.memory_bytes,
                        .cache_bytes = c.cost.cache_bytes,
                        .int_macs = c.cost.int_macs,
                        .float_macs = c.cost.float_macs});
    inside += c.seconds;
  }
  if (phase.steps > 0) {
    out.rows.push_back({.op = kOutsideTheBackend, .layer = {}, .seconds = phase.seconds - inside});
  }
  phase = {};
  return out;
}

Result<std::unique_ptr<Matrix>> ProfilingBackend::make_matrix(const TensorSource& source) {
  QUERN_TRY(auto matrix, inner_->make_matrix(source));
  tensors_.insert_or_assign(matrix.get(),
                            Tensor{.role = role_of(source.name), .is_float = format_info(source.type).is_float});
  return matrix;
}

Result<std::unique_ptr<Buffer>> ProfilingBackend::make_floats(const TensorSource& source) {
  QUERN_TRY(auto buffer, inner_->make_floats(source));
  tensors_.insert_or_assign(buffer->data, Tensor{.role = role_of(source.name), .is_float = true});
  return buffer;
}

std::string_view ProfilingBackend::vector_name(const float* data, std::string_view otherwise) {
  const auto at = tensors_.find(data);
  if (at == tensors_.end()) return otherwise;
  Tensor& t = at->second;
  const std::string_view role = t.role;
  if (t.product.empty()) t.product = kept(join_roles({&role, 1}));
  return t.product;
}

std::string_view ProfilingBackend::product_name(std::span<const LinearOutput> outputs) {
  if (outputs.empty()) return "linear";
  Tensor& first = tensors_[outputs[0].weight];
  if (!first.product.empty()) return first.product;
  std::vector<std::string_view> roles;
  for (const LinearOutput& o : outputs) roles.push_back(tensors_[o.weight].role);
  return first.product = kept(join_roles(roles));
}

void ProfilingBackend::begin_layer(size_t layer) {
  layer_ = layer;
  inner_->begin_layer(layer);
}

void ProfilingBackend::embed(const TensorSource& table, std::span<const int32_t> ids, float scale, float* out) {
  Cost cost = floats(ids.size() * table.cols);
  cost.memory_bytes = static_cast<double>(ids.size() * row_bytes(table.type, table.cols).value_or(0));
  const Timing timing(*this, "embed", cost);
  inner_->embed(table, ids, scale, out);
}

void ProfilingBackend::linear(const float* x, size_t n_tokens, std::span<const LinearOutput> outputs) {
  const std::string_view name = product_name(outputs);
  Cost cost = floats(outputs.empty() ? 0 : n_tokens * outputs[0].weight->cols);
  for (const LinearOutput& o : outputs) {
    const bool is_float = tensors_[o.weight].is_float;
    const size_t macs = n_tokens * o.weight->rows * o.weight->cols;
    cost.memory_bytes += static_cast<double>(o.weight->bytes);
    cost.cache_bytes += static_cast<double>(n_tokens * o.weight->rows * sizeof(float));
    (is_float ? cost.float_macs : cost.int_macs) += static_cast<double>(o.fine && !is_float ? 2 * macs : macs);
  }
  const Timing timing(*this, name, cost);
  inner_->linear(x, n_tokens, outputs);
}

void ProfilingBackend::rms_norm(const float* x, const float* weight, size_t n_rows, size_t cols, float eps,
                                float* out) {
  const Timing timing(*this, vector_name(weight, "rms_norm"), floats(2 * n_rows * cols + cols));
  inner_->rms_norm(x, weight, n_rows, cols, eps, out);
}

void ProfilingBackend::rope(float* x, const RopeArgs& a) {
  // Pairs are read and written in place; the angles are shared by the heads.
  const Timing timing(*this, "rope", floats(a.n_tokens * a.half * (4 * a.n_heads + 2)));
  inner_->rope(x, a);
}

void ProfilingBackend::store_kv(const KvLayer& kv, std::span<const SequenceSpan> sequences, const float* k,
                                const float* v) {
  const size_t n = 2 * token_count(sequences) * kv.n_kv_heads * kv.head_dim;
  Cost cost = floats(n);
  cost.memory_bytes = static_cast<double>(n * sizeof(uint16_t));
  const Timing timing(*this, "store_kv", cost);
  inner_->store_kv(kv, sequences, k, v);
}

void ProfilingBackend::attention(const AttentionArgs& a) {
  size_t read = 0, seen = 0;  // positions: by a sequence as a whole, and by its tokens one by one
  for (const SequenceSpan& s : a.sequences) {
    const size_t window = a.window != 0 ? a.window : SIZE_MAX, end = s.first_position + s.n_tokens;
    read += end - (s.first_position + 1 - std::min(s.first_position + 1, window));
    for (size_t n = s.first_position + 1; n <= end; ++n) seen += std::min(n, window);
  }
  Cost cost = floats(2 * token_count(a.sequences) * a.n_heads * a.kv.head_dim);
  cost.memory_bytes = static_cast<double>(read * 2 * a.kv.n_kv_heads * a.kv.head_dim * sizeof(uint16_t));
  cost.float_macs = static_cast<double>(2 * seen * a.n_heads * a.kv.head_dim);
  const Timing timing(*this, "attention", cost);
  inner_->attention(a);
}

void ProfilingBackend::silu_mul(const float* gate, const float* up, size_t n, float* out) {
  const Timing timing(*this, "silu_mul", floats(3 * n));
  inner_->silu_mul(gate, up, n, out);
}
void ProfilingBackend::gelu_mul(const float* gate, const float* up, size_t n, float* out) {
  const Timing timing(*this, "gelu_mul", floats(3 * n));
  inner_->gelu_mul(gate, up, n, out);
}
void ProfilingBackend::add(const float* a, const float* b, size_t n, float* out) {
  const Timing timing(*this, "add", floats(3 * n));
  inner_->add(a, b, n, out);
}
void ProfilingBackend::add_bias(float* x, const float* bias, size_t n_tokens, size_t cols) {
  const Timing timing(*this, "add_bias", floats((2 * n_tokens + 1) * cols));
  inner_->add_bias(x, bias, n_tokens, cols);
}
void ProfilingBackend::scale(const float* x, float factor, size_t n, float* out) {
  const Timing timing(*this, "scale", floats(2 * n));
  inner_->scale(x, factor, n, out);
}
void ProfilingBackend::gather_rows(const float* x, std::span<const uint32_t> rows, size_t cols, float* out) {
  const Timing timing(*this, "gather_rows", floats(2 * rows.size() * cols));
  inner_->gather_rows(x, rows, cols, out);
}
void ProfilingBackend::copy_page(const KvLayer& kv, uint32_t from, uint32_t to) {
  const auto bytes = static_cast<double>(4 * kv.page_elements() * sizeof(uint16_t));
  const Timing timing(*this, "copy_page", {.memory_bytes = bytes});
  inner_->copy_page(kv, from, to);
}

}  // namespace quern
