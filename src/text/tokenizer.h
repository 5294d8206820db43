// Tokenizer: text to token ids and back, as the model file's tokenizer.ggml.* keys describe it.
//
// Three families: byte-level BPE ("gpt2"), SentencePiece BPE ("llama"), WordPiece ("bert"). Immutable after create: any
// number of threads may call it. Any bytes may be encoded, valid UTF-8 or not. decode(encode(text)) is the text for BPE
// whose vocabulary has all bytes and for SPM with byte tokens, unless special tokens in it swallow white space (rstrip)
// or are not rendered. Time is O(n log n) for any text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/segmenter.h"
#include "text/special_trie.h"
#include "text/vocab.h"

namespace quern {

inline constexpr size_t kMaxVocab = size_t{1} << 24;
inline constexpr size_t kMaxSpecialBytes =
    1024;  // bounds the search for specials, which is linear in text times length

class Tokenizer {
 public:
  // kCorrupt: the fields contradict each other (the message names the key); kUnsupported: a tokenizer model or
  // pre-tokenizer that this version does not know. Keeps nothing of `data`.
  //
  // Where a key is absent: SPM adds BOS and a space prefix, and has bos 1, eos 2, unk 0; WordPiece adds CLS and SEP
  // (101, 102), has unk 100, pad 0, mask 103, lowercases, and strips accents if it lowercases; BPE adds BOS if its
  // pre-tokenizer is one whose models want it (llama-3, tekken, chameleon). Nothing else is added. An end-of-turn token
  // is also known by its name (is_eog).
  static Result<std::unique_ptr<Tokenizer>> create(const VocabData& data);

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  struct EncodeOptions {
    bool add_special = true;    // BOS, EOS, CLS, SEP, as the model wants
    bool parse_special = true;  // control tokens in the text become themselves; user-defined tokens always do
  };
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const;

  // What a token adds to decoded text, perhaps part of a character; empty for control and unknown tokens unless
  // rendered, and for ids out of range. The view lives as long as the tokenizer.
  [[nodiscard]] std::string_view piece(int32_t id, bool render_special) const;

  struct DecodeOptions {
    bool render_special = false;
    // The ids begin a text: the space that encode put first is taken away. False when they continue one.
    bool text_start = true;
  };
  // The bytes as they are, valid UTF-8 or not; see Detokenizer for streams.
  [[nodiscard]] std::string decode(std::span<const int32_t> ids, DecodeOptions options) const;

  // One step of decode. `strip` carries from piece to piece whether a space prefix may come next; it starts as
  // options.text_start.
  [[nodiscard]] std::string_view next_piece(int32_t id, bool render_special, bool& strip) const;

  [[nodiscard]] int32_t n_vocab() const { return store_.size(); }
  [[nodiscard]] std::string_view text(int32_t id) const;                   // as in the file; empty when out of range
  [[nodiscard]] std::optional<int32_t> find(std::string_view text) const;  // by that; looks through all

  [[nodiscard]] std::optional<int32_t> bos() const { return bos_; }
  [[nodiscard]] std::optional<int32_t> eos() const { return eos_; }
  [[nodiscard]] std::optional<int32_t> eot() const { return eot_; }
  [[nodiscard]] std::optional<int32_t> eom() const { return eom_; }
  [[nodiscard]] std::optional<int32_t> unk() const { return unk_; }
  [[nodiscard]] std::optional<int32_t> sep() const { return sep_; }
  [[nodiscard]] std::optional<int32_t> pad() const { return pad_; }
  [[nodiscard]] std::optional<int32_t> cls() const { return cls_; }
  [[nodiscard]] std::optional<int32_t> mask() const { return mask_; }
  [[nodiscard]] bool add_bos() const { return add_bos_; }
  [[nodiscard]] bool add_eos() const { return add_eos_; }

  [[nodiscard]] TokenType type(int32_t id) const;  // kUndefined when out of range
  [[nodiscard]] bool is_control(int32_t id) const { return type(id) == TokenType::kControl; }
  // Whether the token ends the model's answer: eos, eot, eom, and tokens by the names that models use (<|im_end|>,
  // ...).
  [[nodiscard]] bool is_eog(int32_t id) const;
  [[nodiscard]] std::span<const int32_t> eog_ids() const { return eog_; }  // ascending

 private:
  enum class Family { kBpe, kSpm, kWordPiece };
  enum Strip : uint8_t { kStripLeft = 1, kStripRight = 2 };

  Tokenizer() = default;
  Status load(const VocabData& data);
  Status load_ids(const VocabData& data);
  void load_eog();
  void load_pieces(const VocabData& data);
  Status load_specials(const VocabData& data);
  [[nodiscard]] bool takes_space_prefix_after(int32_t id) const;

  Family family_ = Family::kBpe;
  const PreTokenizer* pre_ = nullptr;  // kBpe
  TokenStore store_;
  SpecialTrie specials_;
  std::vector<std::pair<int32_t, uint8_t>> strips_;  // token, Strip flags; ascending
  std::vector<int32_t> eog_;
  std::unique_ptr<Segmenter> segmenter_;
  std::optional<int32_t> bos_, eos_, eot_, eom_, unk_, sep_, pad_, cls_, mask_;
  bool add_bos_ = false, add_eos_ = false, add_sep_ = false, add_space_prefix_ = false;
};

}  // namespace quern
