// Gemma 3, text: five layers with a sliding window and a RoPE base of their own, then one over the whole context;
// RMSNorm of q and k heads, and after each block as well as before it. arXiv 2503.19786. The converter has added one to
// the weights of the norms.
#include <algorithm>
#include <cmath>

#include "model/decoder.h"

namespace quern {

namespace {

class Gemma3 final : public Decoder {
 public:
  Gemma3(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

  Status load(WeightLoader& loader, const ModelOptions& options) {
    const GgufView& file = loader.file();
    QUERN_TRY(config_.window, file.get_u64(arch_key(file, "attention.sliding_window"), 0));
    QUERN_TRY(pattern_, file.get_u64(arch_key(file, "attention.sliding_window_pattern"), 6));
    embedding_scale_ = std::sqrt(static_cast<float>(config_.d_model));
    Rope::Options rope = rope_options(options, /*interleaved=*/false);
    QUERN_TRY(Rope whole, Rope::read(file, config_, rope));
    rope.base_key = "rope.freq_base_swa";
    rope.scaled = false;
    QUERN_TRY(Rope local, Rope::read(file, config_, rope));
    ropes_.push_back(std::move(whole));
    ropes_.push_back(std::move(local));

    layers_.resize(config_.n_layers);
    for (size_t i = 0; i < layers_.size(); ++i) {
      LayerWeights& w = layers_[i];
      const std::string p = fmt::format("blk.{}.", i);
      QUERN_CHECK_OK(load_attention(loader, i, w));
      QUERN_CHECK_OK(load_ffn(loader, i, w));
      QUERN_TRY(w.q_norm, loader.vector(p + "attn_q_norm.weight", config_.head_dim));
      QUERN_TRY(w.k_norm, loader.vector(p + "attn_k_norm.weight", config_.head_dim));
      QUERN_TRY(w.attn_post_norm, loader.vector(p + "post_attention_norm.weight", config_.d_model));
      QUERN_TRY(w.ffn_post_norm, loader.vector(p + "post_ffw_norm.weight", config_.d_model));
    }
    return load_ends(loader, options);
  }

  [[nodiscard]] size_t visible(size_t layer, size_t n) const override {
    return is_local(layer) ? std::min(n, config_.window) : n;
  }

 private:
  [[nodiscard]] bool is_local(size_t i) const {
    return config_.window != 0 && (pattern_ == 0 || i % pattern_ != pattern_ - 1);
  }

  void layer(size_t i) override {
    const LayerWeights& w = layers_[i];
    norm(*w.attn_norm);
    project_qkv(w);
    norm_heads(w);
    rotate(is_local(i) ? 1 : 0);
    attend(i, is_local(i) ? config_.window : 0);
    project_out(w);
    norm_output(*w.attn_post_norm);
    add_residual();
    norm(*w.ffn_norm);
    ffn(w, Activation::kGelu);
    norm_output(*w.ffn_post_norm);
    add_residual();
  }

  size_t pattern_ = 6;
};

}  // namespace

Result<std::unique_ptr<Model>> load_gemma3(ModelConfig config, WeightLoader& loader, const ModelOptions& options) {
  return load_decoder<Gemma3>(std::move(config), loader, options);
}

}  // namespace quern
