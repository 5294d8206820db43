// Phi-3, Phi-3.5 and Phi-4-mini: llama's layer with q, k, v in one tensor and gate, up in another; LongRoPE divisors
// for contexts beyond the original. arXiv 2404.14219. The sliding window applies to every layer where the file states
// one, as in the model's own code.
#include "model/decoder.h"

namespace quern {

namespace {

class Phi3 final : public Decoder {
 public:
  Phi3(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

  Status load(WeightLoader& loader, const ModelOptions& options) {
    QUERN_TRY(config_.window, loader.file().get_u64(arch_key(loader.file(), "attention.sliding_window"), 0));
    QUERN_TRY(Rope rope, Rope::read(loader.file(), config_, rope_options(options, /*interleaved=*/false)));
    ropes_.push_back(std::move(rope));
    layers_.resize(config_.n_layers);
    for (size_t i = 0; i < layers_.size(); ++i) QUERN_CHECK_OK(load_layer(loader, i, layers_[i]));
    return load_ends(loader, options);
  }

 private:
  Status load_layer(WeightLoader& l, size_t i, LayerWeights& w) {
    const std::string p = fmt::format("blk.{}.", i);
    const ModelConfig& c = config_;
    const size_t q = c.n_heads * c.head_dim, kv = c.n_kv_heads * c.head_dim;
    QUERN_TRY(w.attn_norm, l.vector(p + "attn_norm.weight", c.d_model));
    QUERN_TRY(w.q, l.rows_of(p + "attn_qkv.weight", q + 2 * kv, 0, q, c.d_model));
    QUERN_TRY(w.k, l.rows_of(p + "attn_qkv.weight", q + 2 * kv, q, kv, c.d_model));
    QUERN_TRY(w.v, l.rows_of(p + "attn_qkv.weight", q + 2 * kv, q + kv, kv, c.d_model));
    QUERN_TRY(w.attn_out, l.matrix(p + "attn_output.weight", c.d_model, q));
    QUERN_TRY(w.ffn_norm, l.vector(p + "ffn_norm.weight", c.d_model));
    QUERN_TRY(w.gate, l.rows_of(p + "ffn_up.weight", 2 * c.d_ff, 0, c.d_ff, c.d_model));
    QUERN_TRY(w.up, l.rows_of(p + "ffn_up.weight", 2 * c.d_ff, c.d_ff, c.d_ff, c.d_model));
    QUERN_TRY(w.down, l.matrix(p + "ffn_down.weight", c.d_model, c.d_ff));
    return {};
  }

  void layer(size_t i) override {
    const LayerWeights& w = layers_[i];
    norm(*w.attn_norm);
    project_qkv(w);
    rotate(0);
    attend(i, config_.window);
    project_out(w);
    add_residual();
    norm(*w.ffn_norm);
    ffn(w, Activation::kSilu);
    add_residual();
  }
};

}  // namespace

Result<std::unique_ptr<Model>> load_phi3(ModelConfig config, WeightLoader& loader, const ModelOptions& options) {
  return load_decoder<Phi3>(std::move(config), loader, options);
}

}  // namespace quern
