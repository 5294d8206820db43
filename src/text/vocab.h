// VocabData: what a model file says about its tokenizer, before anything is checked.
//
// The fields are the tokenizer.ggml.* keys of GGUF (docs/gguf.md in ggml), by the same names. Strings are views: the
// memory behind them must live until Tokenizer::create returns, not longer. An absent key is nullopt, so that the
// tokenizer, which knows the model kind, applies the default (see tokenizer.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quern {

// tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct VocabData {
  std::string model;  // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "bert" (WordPiece)
  std::string pre;    // BPE only: the pre-tokenizer, see pretokenizer.h; empty is "default"

  std::vector<std::string_view> tokens;
  std::vector<float> scores;             // SPM: one for each token; else empty or ignored
  std::vector<int32_t> types;            // empty: all normal
  std::vector<std::string_view> merges;  // BPE: "left right" in order of rank

  std::optional<int32_t> bos, eos, eot, eom, unk, sep, pad, cls, mask;
  std::optional<bool> add_bos, add_eos, add_sep, add_space_prefix;
  std::optional<bool> lowercase, strip_accents;  // WordPiece normalizer

  // Special tokens that swallow the white space before (lstrip) or after them (rstrip) in the text.
  std::vector<int32_t> lstrip, rstrip;
};

}  // namespace quern
