#include "model/decoder.h"

#include <algorithm>

#include "base/checked.h"

namespace quern {

size_t Model::visible(size_t, size_t n) const {
  return config_.window != 0 ? std::min(n, config_.window) : n;
}

Status Decoder::load_attention(WeightLoader& l, size_t layer, LayerWeights& w) {
  const std::string p = fmt::format("blk.{}.", layer);
  const ModelConfig& c = config_;
  const size_t q_rows = c.n_heads * c.head_dim, kv_rows = c.n_kv_heads * c.head_dim;
  QUERN_TRY(w.attn_norm, l.vector(p + "attn_norm.weight", c.d_model));
  QUERN_TRY(w.q, l.matrix(p + "attn_q.weight", q_rows, c.d_model));
  QUERN_TRY(w.k, l.matrix(p + "attn_k.weight", kv_rows, c.d_model));
  QUERN_TRY(w.v, l.matrix(p + "attn_v.weight", kv_rows, c.d_model));
  QUERN_TRY(w.q_bias, l.optional_vector(p + "attn_q.bias", q_rows));
  QUERN_TRY(w.k_bias, l.optional_vector(p + "attn_k.bias", kv_rows));
  QUERN_TRY(w.v_bias, l.optional_vector(p + "attn_v.bias", kv_rows));
  QUERN_TRY(w.attn_out, l.matrix(p + "attn_output.weight", c.d_model, q_rows));
  QUERN_TRY(w.attn_out_bias, l.optional_vector(p + "attn_output.bias", c.d_model));
  return {};
}

Status Decoder::load_ffn(WeightLoader& l, size_t layer, LayerWeights& w) {
  const std::string p = fmt::format("blk.{}.", layer);
  const ModelConfig& c = config_;
  QUERN_TRY(w.ffn_norm, l.vector(p + "ffn_norm.weight", c.d_model));
  QUERN_TRY(w.gate, l.matrix(p + "ffn_gate.weight", c.d_ff, c.d_model));
  QUERN_TRY(w.up, l.matrix(p + "ffn_up.weight", c.d_ff, c.d_model));
  QUERN_TRY(w.down, l.matrix(p + "ffn_down.weight", c.d_model, c.d_ff));
  QUERN_TRY(w.gate_bias, l.optional_vector(p + "ffn_gate.bias", c.d_ff));
  QUERN_TRY(w.up_bias, l.optional_vector(p + "ffn_up.bias", c.d_ff));
  QUERN_TRY(w.down_bias, l.optional_vector(p + "ffn_down.bias", c.d_model));
  return {};
}

Status Decoder::load_ends(WeightLoader& l, const ModelOptions& options) {
  const ModelConfig& c = config_;
  QUERN_TRY(embedding_, l.table("token_embd.weight", c.n_vocab, c.d_model));
  QUERN_TRY(final_norm_, l.vector("output_norm.weight", c.d_model));
  // Without a head of its own the model projects back onto its embeddings.
  QUERN_TRY(head_, l.matrix(l.has("output.weight") ? "output.weight" : "token_embd.weight", c.n_vocab, c.d_model));

  const auto allocate = [&](std::unique_ptr<Buffer>& b, size_t cols) -> Status {
    const auto bytes = checked_mul(options.max_tokens * sizeof(float), cols);
    if (!bytes) return fail_f(ErrorCode::kResource, "scratch for {} tokens overflows", options.max_tokens);
    QUERN_TRY(b, backend_.make_buffer(*bytes));
    memory_.scratch_bytes += *bytes;
    return {};
  };
  const size_t q_cols = c.n_heads * c.head_dim, kv_cols = c.n_kv_heads * c.head_dim;
  QUERN_CHECK_OK(allocate(s_.x, std::max(c.d_model, q_cols)));
  QUERN_CHECK_OK(allocate(s_.h, std::max(c.d_model, q_cols)));
  QUERN_CHECK_OK(allocate(s_.q, q_cols));
  QUERN_CHECK_OK(allocate(s_.k, kv_cols));
  QUERN_CHECK_OK(allocate(s_.v, kv_cols));
  QUERN_CHECK_OK(allocate(s_.att, q_cols));
  QUERN_CHECK_OK(allocate(s_.o, c.d_model));
  QUERN_CHECK_OK(allocate(s_.gate, c.d_ff));
  QUERN_CHECK_OK(allocate(s_.up, c.d_ff));
  s_.cos.resize(ropes_.size());
  s_.sin.resize(ropes_.size());
  for (size_t i = 0; i < ropes_.size(); ++i) {
    QUERN_CHECK_OK(allocate(s_.cos[i], ropes_[i].half()));
    QUERN_CHECK_OK(allocate(s_.sin[i], ropes_[i].half()));
  }
  memory_.weight_bytes = l.matrix_bytes();
  unused_ = l.unused();
  return {};
}

void Decoder::forward(const ForwardBatch& batch, KvStore& kv, float* logits, float* states) {
  step_ = {.batch = &batch, .kv = &kv, .n = batch.ids.size()};
  backend_.embed(embedding_, batch.ids, embedding_scale_, s_.x->floats());
  for (size_t r = 0; r < ropes_.size(); ++r) {
    for (const SequenceSpan& s : batch.sequences) {
      const size_t at = s.first_token * ropes_[r].half();
      ropes_[r].fill(s.first_position, s.n_tokens, s_.cos[r]->floats() + at, s_.sin[r]->floats() + at);
    }
  }
  for (size_t i = 0; i < config_.n_layers; ++i) {
    step_.last_layer = i + 1 == config_.n_layers;
    backend_.begin_layer(i);
    layer(i);
  }
  backend_.begin_layer(kNoLayer);
  if (step_.n == 0) return;
  norm(*final_norm_);
  if (const size_t n = step_.n - batch.n_logits; n > 0) {
    const size_t cols = config_.d_model;
    backend_.scale(s_.h->floats() + batch.n_logits * cols, 1.0f, n * cols, states);
  }
  if (batch.n_logits == 0) return;
  const LinearOutput out{head_.get(), logits, true};
  backend_.linear(s_.h->floats(), batch.n_logits, {&out, 1});
}

void Decoder::norm(const Buffer& weight) {
  backend_.rms_norm(s_.x->floats(), weight.floats(), step_.n, config_.d_model, config_.eps, s_.h->floats());
}

void Decoder::project_qkv(const LayerWeights& w) {
  const LinearOutput outputs[] = {
      {w.q.get(), s_.q->floats()}, {w.k.get(), s_.k->floats()}, {w.v.get(), s_.v->floats(), true}};
  backend_.linear(s_.h->floats(), step_.n, outputs);
  const Buffer* biases[] = {w.q_bias.get(), w.k_bias.get(), w.v_bias.get()};
  for (size_t i = 0; i < 3; ++i) {
    if (biases[i] != nullptr) backend_.add_bias(outputs[i].y, biases[i]->floats(), step_.n, outputs[i].weight->rows);
  }
}

void Decoder::norm_heads(const LayerWeights& w) {
  const ModelConfig& c = config_;
  backend_.rms_norm(s_.q->floats(), w.q_norm->floats(), step_.n * c.n_heads, c.head_dim, c.eps, s_.q->floats());
  backend_.rms_norm(s_.k->floats(), w.k_norm->floats(), step_.n * c.n_kv_heads, c.head_dim, c.eps, s_.k->floats());
}

void Decoder::rotate(size_t rope) {
  RopeArgs args{.n_tokens = step_.n,
                .n_heads = config_.n_heads,
                .head_dim = config_.head_dim,
                .half = ropes_[rope].half(),
                .interleaved = ropes_[rope].interleaved(),
                .cos = s_.cos[rope]->floats(),
                .sin = s_.sin[rope]->floats()};
  backend_.rope(s_.q->floats(), args);
  args.n_heads = config_.n_kv_heads;
  backend_.rope(s_.k->floats(), args);
}

void Decoder::attend(size_t layer, size_t window) {
  const KvLayer& kv = step_.kv->layer(layer);
  backend_.store_kv(kv, step_.batch->sequences, s_.k->floats(), s_.v->floats());
  if (step_.last_layer && step_.batch->rows.empty()) return;  // nothing reads the last layer's states
  backend_.attention({.q = s_.q->floats(),
                      .out = s_.att->floats(),
                      .n_heads = config_.n_heads,
                      .scale = config_.attention_scale,
                      .window = window,
                      .kv = kv,
                      .sequences = step_.batch->sequences});
}

void Decoder::project_out(const LayerWeights& w) {
  if (step_.last_layer) {
    // From here on only rows that are wanted matter. h is free as the place to gather into.
    const auto rows = step_.batch->rows;
    step_.n = rows.size();
    const size_t att_cols = config_.n_heads * config_.head_dim;
    backend_.gather_rows(s_.x->floats(), rows, config_.d_model, s_.h->floats());
    std::swap(s_.x, s_.h);
    backend_.gather_rows(s_.att->floats(), rows, att_cols, s_.q->floats());
    std::swap(s_.att, s_.q);
  }
  const LinearOutput out{w.attn_out.get(), s_.o->floats()};
  backend_.linear(s_.att->floats(), step_.n, {&out, 1});
  if (w.attn_out_bias) backend_.add_bias(s_.o->floats(), w.attn_out_bias->floats(), step_.n, config_.d_model);
}

void Decoder::ffn(const LayerWeights& w, Activation activation) {
  const size_t n = step_.n, d_ff = config_.d_ff;
  const LinearOutput outputs[] = {{w.gate.get(), s_.gate->floats()}, {w.up.get(), s_.up->floats()}};
  backend_.linear(s_.h->floats(), n, outputs);
  if (w.gate_bias) backend_.add_bias(s_.gate->floats(), w.gate_bias->floats(), n, d_ff);
  if (w.up_bias) backend_.add_bias(s_.up->floats(), w.up_bias->floats(), n, d_ff);
  if (activation == Activation::kSilu) {
    backend_.silu_mul(s_.gate->floats(), s_.up->floats(), n * d_ff, s_.gate->floats());
  } else {
    backend_.gelu_mul(s_.gate->floats(), s_.up->floats(), n * d_ff, s_.gate->floats());
  }
  const LinearOutput down{w.down.get(), s_.o->floats()};
  backend_.linear(s_.gate->floats(), n, {&down, 1});
  if (w.down_bias) backend_.add_bias(s_.o->floats(), w.down_bias->floats(), n, config_.d_model);
}

void Decoder::norm_output(const Buffer& weight) {
  backend_.rms_norm(s_.o->floats(), weight.floats(), step_.n, config_.d_model, config_.eps, s_.o->floats());
}

void Decoder::add_residual() {
  backend_.add(s_.x->floats(), s_.o->floats(), step_.n * config_.d_model, s_.x->floats());
}

}  // namespace quern
