// WordPiece with BERT's normalizer (Devlin et al. 2019; tokenization.py, BasicTokenizer and WordpieceTokenizer): clean,
// set Han characters apart, NFD and strip accents, lowercase, cut at white space and punctuation, then take the longest
// token from the left.
//
// A GGUF file marks words' first tokens with U+2581 in the place of marking the others with "##"; pieces have a space
// there in either convention.
#include <utf8proc.h>

#include <algorithm>

#include "text/merge.h"
#include "text/segmenter.h"
#include "text/unicode.h"

namespace quern {
namespace {

// BERT's limit: longer words are unknown. It also bounds the search for the longest token.
constexpr size_t kMaxWordChars = 100;

bool is_bert_punct(uint32_t cp, uint8_t cls) {
  return (cls & kPunct) != 0 || (cp < 128 && (cls & (kPunct | kSymbol)) != 0);
}

bool is_other(uint32_t cp) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(cp))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CS:
      return true;
    default:
      return false;
  }
}

class WordPieceSegmenter final : public Segmenter {
 public:
  WordPieceSegmenter(const TokenStore& store, const WordPieceOptions& options)
      : store_(store), options_(options), index_(store.pieces, store.types.size()) {
    for (int32_t id = 0; id < store.size(); ++id) {
      const TokenType type = store.types[static_cast<size_t>(id)];
      if (type != TokenType::kControl && type != TokenType::kUnknown) index_.insert(id);
    }
  }

  void encode(std::string_view text, bool /*space_prefix*/, std::vector<int32_t>& out) const override {
    std::string word = " ";  // the space that marks a word's first token, then its characters
    size_t chars = 0;
    const auto flush = [&] {
      if (chars > 0) encode_word(word, chars, out);
      word.resize(1);
      chars = 0;
    };
    for (size_t pos = 0; pos < text.size();) {
      const Utf8Char c = utf8_decode(text, pos);
      pos += c.valid ? c.len : 1;
      const uint8_t cls = unicode_class(c.cp);
      if ((cls & kSpace) != 0) {
        flush();
        continue;
      }
      if (c.cp == kReplacementChar || is_other(c.cp)) continue;
      const bool alone = unicode_is_han(c.cp);
      if (alone) flush();
      normalize(c.cp, [&](uint32_t cp) {
        const bool punct = is_bert_punct(cp, unicode_class(cp));
        if (punct) flush();
        utf8_append(word, cp);
        ++chars;
        if (punct) flush();
      });
      if (alone) flush();
    }
    flush();
  }

 private:
  // Canonical decomposition of one character; BERT strips the marks, so that their order needs no attention.
  template <class Emit>
  void normalize(uint32_t cp, Emit&& emit) const {
    const auto lower = [&](uint32_t x) {
      return options_.lowercase ? static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(x))) : x;
    };
    if (!options_.strip_accents || cp < 128) return emit(lower(cp));
    utf8proc_int32_t parts[32];
    int last_class = 0;
    const auto n =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(cp), parts, 32, UTF8PROC_DECOMPOSE, &last_class);
    if (n < 0 || n > 32) return emit(lower(cp));
    for (utf8proc_ssize_t i = 0; i < n; ++i) {
      if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) emit(lower(static_cast<uint32_t>(parts[i])));
    }
  }

  void encode_word(std::string_view word, size_t chars, std::vector<int32_t>& out) const {
    const size_t before = out.size();
    size_t pos = chars > kMaxWordChars ? word.size() + 1 : 0;
    while (pos < word.size()) {
      size_t len = std::min(word.size() - pos, index_.max_len());
      int32_t id = kNoToken;
      for (; len > 0 && id == kNoToken; --len) id = index_.find(word.substr(pos, len));
      if (id == kNoToken) break;
      out.push_back(id);
      pos += len + 1;  // the loop took one off after the match
    }
    if (pos == word.size()) return;
    out.resize(before);
    if (store_.unk != kNoToken) out.push_back(store_.unk);
  }

  const TokenStore& store_;
  WordPieceOptions options_;
  TextIndex index_;
};

}  // namespace

std::string wordpiece_piece(std::string_view text, bool hash_marks) {
  if (!hash_marks) return spm_piece(text);
  return text.substr(0, 2) == "##" ? std::string(text.substr(2)) : std::string(" ").append(text);
}

Result<std::unique_ptr<Segmenter>> make_wordpiece(const TokenStore& store, const WordPieceOptions& options) {
  return std::make_unique<WordPieceSegmenter>(store, options);
}

}  // namespace quern
