// Rotary position embedding: which angle each pair of dimensions turns by at each position.
//
// Su et al., "RoFormer", arXiv 2104.09864; scaling: linear (arXiv 2306.15595), YaRN (arXiv 2309.00071, as llama.cpp
// computes it), llama-3 and LongRoPE (arXiv 2402.13753) by divisors that the file holds as a tensor. Angles are formed
// in double by base/det_math.h, so a table has the same bits on every machine.
#pragma once

#include <span>
#include <vector>

#include "gguf/reader.h"
#include "model/config.h"

namespace quern {

class Rope {
 public:
  struct Options {
    const char* base_key = "rope.freq_base";
    float base_absent = 10000.0f;
    bool scaled = true;        // whether the file's rope.scaling keys and divisors apply
    bool interleaved = false;  // pairs of neighbours, else halves
    size_t n_ctx = 0;          // that the engine runs with: LongRoPE chooses its divisors by it
  };
  static Result<Rope> read(const GgufView& file, const ModelConfig& config, const Options& options);

  [[nodiscard]] size_t half() const { return frequencies_.size(); }
  [[nodiscard]] bool interleaved() const { return interleaved_; }
  // cos and sin: [n][half] for positions first .. first + n - 1.
  void fill(size_t first, size_t n, float* cos, float* sin) const;

 private:
  std::vector<double> frequencies_;  // radians per position
  double magnitude_ = 1.0;
  bool interleaved_ = false;
};

}  // namespace quern
