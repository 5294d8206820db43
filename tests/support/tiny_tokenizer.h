// A small valid tokenizer and chat template for made-up models.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gguf/writer.h"

namespace quern {

// The first ids that are no bytes: begin and end of text, begin and end of a chat turn (which also ends generation).
inline constexpr uint32_t kTinyBos = 256;
inline constexpr uint32_t kTinyEos = 257;
inline constexpr uint32_t kTinyTurnStart = 258;
inline constexpr uint32_t kTinyTurnEnd = 259;
inline constexpr size_t kTinyLeastVocab = 260;

// Adds the tokenizer.* keys of a byte-level BPE with `n_vocab` >= kTinyLeastVocab entries: id b is byte b, then the
// four special tokens, then merges of two frequent letters, then unused tokens. No BOS is added to a text.
void add_tiny_tokenizer(GgufWriter& writer, size_t n_vocab);

}  // namespace quern
