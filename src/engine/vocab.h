// read_vocab: the tokenizer's keys of a GGUF file as VocabData. Pure; any thread.
#pragma once

#include "base/result.h"
#include "gguf/reader.h"
#include "text/vocab.h"

namespace quern {

// The strings are views into the file's bytes. Absent keys stay absent: Tokenizer::create knows the defaults. kNotFound
// when the file has no tokenizer, kCorrupt when a key has a value of another type; messages name file and key.
Result<VocabData> read_vocab(const GgufView& gguf);

}  // namespace quern
