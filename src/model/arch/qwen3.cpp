// Qwen3: RMSNorm of each head of q and k in place of Qwen2's biases. arXiv 2505.09388.
#include "model/decoder.h"

namespace quern {

namespace {

class Qwen3 final : public Decoder {
 public:
  Qwen3(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

  Status load(WeightLoader& loader, const ModelOptions& options) {
    QUERN_TRY(Rope rope, Rope::read(loader.file(), config_, rope_options(options, /*interleaved=*/false)));
    ropes_.push_back(std::move(rope));
    layers_.resize(config_.n_layers);
    for (size_t i = 0; i < layers_.size(); ++i) {
      QUERN_CHECK_OK(load_attention(loader, i, layers_[i]));
      QUERN_CHECK_OK(load_ffn(loader, i, layers_[i]));
      const std::string p = fmt::format("blk.{}.", i);
      QUERN_TRY(layers_[i].q_norm, loader.vector(p + "attn_q_norm.weight", config_.head_dim));
      QUERN_TRY(layers_[i].k_norm, loader.vector(p + "attn_k_norm.weight", config_.head_dim));
    }
    return load_ends(loader, options);
  }

 private:
  void layer(size_t i) override {
    const LayerWeights& w = layers_[i];
    norm(*w.attn_norm);
    project_qkv(w);
    norm_heads(w);
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

Result<std::unique_ptr<Model>> load_qwen3(ModelConfig config, WeightLoader& loader, const ModelOptions& options) {
  return load_decoder<Qwen3>(std::move(config), loader, options);
}

}  // namespace quern
