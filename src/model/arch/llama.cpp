// Llama and what shares its file form: Mistral, SmolLM, TinyLlama, Yi. Touvron et al., arXiv 2302.13971; grouped
// queries arXiv 2307.09288. Rotates pairs of neighbours: the converter permuted the rows of q and k for it.
#include "model/decoder.h"

namespace quern {

namespace {

class Llama final : public Decoder {
 public:
  Llama(ModelConfig config, Backend& backend) : Decoder(std::move(config), backend) {}

  Status load(WeightLoader& loader, const ModelOptions& options) {
    QUERN_TRY(Rope rope, Rope::read(loader.file(), config_, rope_options(options, /*interleaved=*/true)));
    ropes_.push_back(std::move(rope));
    layers_.resize(config_.n_layers);
    for (size_t i = 0; i < layers_.size(); ++i) {
      QUERN_CHECK_OK(load_attention(loader, i, layers_[i]));
      QUERN_CHECK_OK(load_ffn(loader, i, layers_[i]));
    }
    return load_ends(loader, options);
  }

 private:
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

Result<std::unique_ptr<Model>> load_llama(ModelConfig config, WeightLoader& loader, const ModelOptions& options) {
  return load_decoder<Llama>(std::move(config), loader, options);
}

}  // namespace quern
