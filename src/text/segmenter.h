// Segmenter: the algorithm of one tokenizer family, from a stretch of text without special tokens to ids.
//
// Internal to src/text. A segmenter refers to the vocabulary it was made from, which outlives it and does not move;
// encode is const and keeps its scratch memory to itself: any thread.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/pretokenizer.h"
#include "text/token_table.h"
#include "text/vocab.h"

namespace quern {

// The vocabulary in the form in which all families want it.
struct TokenStore {
  StringArena texts;   // as the file has them
  StringArena pieces;  // what a token adds to decoded text
  std::vector<TokenType> types;
  std::vector<float> scores;
  int32_t unk = kNoToken;

  [[nodiscard]] int32_t size() const { return static_cast<int32_t>(types.size()); }
};

class Segmenter {
 public:
  virtual ~Segmenter() = default;
  // `space_prefix`: the text stands where the family puts a space before it.
  virtual void encode(std::string_view text, bool space_prefix, std::vector<int32_t>& out) const = 0;
};

Result<std::unique_ptr<Segmenter>> make_bpe(const TokenStore& store, const VocabData& data, const PreTokenizer& pre);
Result<std::unique_ptr<Segmenter>> make_spm(const TokenStore& store);

struct WordPieceOptions {
  bool lowercase = true;
  bool strip_accents = true;
};
Result<std::unique_ptr<Segmenter>> make_wordpiece(const TokenStore& store, const WordPieceOptions& options);

// The piece of a token's text in each family. GPT-2's printable alphabet becomes bytes (texts outside of it stay),
// U+2581 becomes a space.
std::string bpe_piece(std::string_view text);
std::string spm_piece(std::string_view text);
// `hash_marks`: the vocabulary has BERT's own "##" before continuations, instead of U+2581 before words.
std::string wordpiece_piece(std::string_view text, bool hash_marks);

// The byte of a token text "<0x0A>", or -1.
int byte_token_value(std::string_view text);

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

}  // namespace quern
