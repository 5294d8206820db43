// What decoder architectures have in common: the weights of a layer, the scratch of a batch, and the steps of a forward
// pass. arch/<family>.cpp puts the steps in order.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/model.h"
#include "model/rope.h"

namespace quern {

// Null where the architecture has none. Matrices are outputs x inputs.
struct LayerWeights {
  std::unique_ptr<Buffer> attn_norm;               // [d_model]
  std::unique_ptr<Matrix> q, k, v;                 // [heads * head_dim][d_model], k and v of the KV heads
  std::unique_ptr<Buffer> q_bias, k_bias, v_bias;  // of their rows
  std::unique_ptr<Buffer> q_norm, k_norm;          // [head_dim], RMSNorm of each head
  std::unique_ptr<Matrix> attn_out;                // [d_model][heads * head_dim]
  std::unique_ptr<Buffer> attn_out_bias;           // [d_model]
  std::unique_ptr<Buffer> attn_post_norm;          // [d_model], after the attention block
  std::unique_ptr<Buffer> ffn_norm;                // [d_model]
  std::unique_ptr<Matrix> gate, up;                // [d_ff][d_model]
  std::unique_ptr<Buffer> gate_bias, up_bias;      // [d_ff]
  std::unique_ptr<Matrix> down;                    // [d_model][d_ff]
  std::unique_ptr<Buffer> down_bias;               // [d_model]
  std::unique_ptr<Buffer> ffn_post_norm;           // [d_model], after the feed-forward block
};

enum class Activation : uint8_t { kSilu, kGelu };

// A model of embedding, layers, final norm and head: everything but the layer itself.
class Decoder : public Model {
 public:
  void forward(const ForwardBatch& batch, KvStore& kv, float* logits, float* states) final;

 protected:
  using Model::Model;

  // Loads embedding, head, final norm; allocates scratch for options.max_tokens. Call after the layers.
  Status load_ends(WeightLoader& loader, const ModelOptions& options);
  // The usual names of q, k, v, output projection and their optional biases.
  Status load_attention(WeightLoader& loader, size_t layer, LayerWeights& w);
  // The usual names of gate, up, down and their optional biases.
  Status load_ffn(WeightLoader& loader, size_t layer, LayerWeights& w);

  // One layer: reads and updates x() for all tokens of the step.
  virtual void layer(size_t i) = 0;

  // Steps, in the order in which a layer uses them. Each works on the tokens of the current step.
  void norm(const Buffer& weight);                         // h = RMSNorm(x)
  void project_qkv(const LayerWeights& w);                 // q, k, v = W h (+ bias)
  void norm_heads(const LayerWeights& w);                  // q, k normalized per head
  void rotate(size_t rope);                                // q, k by position; index into ropes_
  void attend(size_t layer, size_t window);                // store k, v; att = attention
  void project_out(const LayerWeights& w);                 // o = W_o att (+ bias), unwanted tokens dropped
  void ffn(const LayerWeights& w, Activation activation);  // o = W_down(act(W_gate h) * W_up h)
  void norm_output(const Buffer& weight);                  // o = RMSNorm(o)
  void add_residual();                                     // x += o

  std::vector<LayerWeights> layers_;
  std::vector<Rope> ropes_;
  float embedding_scale_ = 1.0f;

 private:
  struct Scratch {
    std::unique_ptr<Buffer> x, h, q, k, v, att, o, gate, up;
    std::vector<std::unique_ptr<Buffer>> cos, sin;  // per rope
  };
  // The batch at hand; n shrinks to the rows that are wanted in the last layer.
  struct Step {
    const ForwardBatch* batch = nullptr;
    KvStore* kv = nullptr;
    size_t n = 0;
    bool last_layer = false;
  };

  TensorSource embedding_;
  std::unique_ptr<Matrix> head_;
  std::unique_ptr<Buffer> final_norm_;
  Scratch s_;
  Step step_;
};

// The options with which every family reads a RoPE of the file.
inline Rope::Options rope_options(const ModelOptions& o, bool interleaved) {
  return {.interleaved = interleaved, .n_ctx = o.n_ctx};
}

// What the registry calls for a family whose class has `Status load(WeightLoader&, const ModelOptions&)`.
template <class Family>
Result<std::unique_ptr<Model>> load_decoder(ModelConfig config, WeightLoader& loader, const ModelOptions& options) {
  auto model = std::make_unique<Family>(std::move(config), loader.backend());
  QUERN_CHECK_OK(model->load(loader, options));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace quern
