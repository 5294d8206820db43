// Byte-level BPE: Radford et al. 2019 (GPT-2), with the pre-tokenizer that the model names.
//
// Words are merged as bytes: tokens and merges leave GPT-2's printable alphabet when they are loaded, so that text is
// never transcoded. Merges are looked up by the ids of their two sides.
#include <array>
#include <bit>
#include <string>
#include <unordered_map>

#include "text/merge.h"
#include "text/segmenter.h"
#include "text/utf8.h"

namespace quern {
namespace {

// GPT-2's bytes_to_unicode backwards: printable Latin-1 stands for itself, the 68 other bytes for U+0100 onwards.
constexpr std::array<int16_t, 0x144> kByteOfChar = [] {
  std::array<int16_t, 0x144> table{};
  table.fill(-1);
  int next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    table[static_cast<size_t>(printable ? b : next++)] = static_cast<int16_t>(b);
  }
  return table;
}();

// Appends the bytes that `text` stands for; false, with nothing appended, when a character is outside of the alphabet.
bool append_bytes(std::string& out, std::string_view text) {
  const size_t start = out.size();
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = utf8_decode(text, pos);
    if (!c.valid || c.cp >= kByteOfChar.size() || kByteOfChar[c.cp] < 0) {
      out.resize(start);
      return false;
    }
    out.push_back(static_cast<char>(kByteOfChar[c.cp]));
    pos += c.len;
  }
  return true;
}

void append_piece(std::string& out, std::string_view text) {
  if (!append_bytes(out, text)) out.append(text);
}

// (left id, right id) to the merge's rank and result.
class MergeTable {
 public:
  explicit MergeTable(size_t capacity) : slots_(std::bit_ceil(capacity + capacity / 2 + 2)) {}

  // Of equal pairs the first stays, which has the lower rank.
  void insert(int32_t left, int32_t right, PairMerge merge) {
    Slot& slot = slots_[probe(key_of(left, right))];
    if (slot.merge.rank == kNoRank) slot = {key_of(left, right), merge};
  }
  [[nodiscard]] PairMerge find(int32_t left, int32_t right) const { return slots_[probe(key_of(left, right))].merge; }

 private:
  struct Slot {
    uint64_t key = 0;
    PairMerge merge;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  [[nodiscard]] size_t probe(uint64_t key) const {
    uint64_t h = (key ^ hash_seed()) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 32;
    for (size_t i = h & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].merge.rank == kNoRank || slots_[i].key == key) return i;
    }
  }
  std::vector<Slot> slots_;
};

class BpeSegmenter final : public Segmenter {
 public:
  BpeSegmenter(const TokenStore& store, const PreTokenizer& pre, size_t n_merges)
      : store_(store), pre_(pre), index_(store.pieces, store.types.size()), merges_(n_merges) {}

  Status load(const VocabData& data) {
    index_tokens();
    for (int b = 0; b < 256; ++b) {
      const char byte = static_cast<char>(b);
      byte_token_[static_cast<size_t>(b)] = index_.find({&byte, 1});
      byte_symbol_[static_cast<size_t>(b)] = symbol_of({&byte, 1});
    }
    std::string bytes;
    for (size_t i = 0; i < data.merges.size(); ++i) {
      const std::string_view merge = data.merges[i];
      const size_t space = merge.find(' ', 1);  // a side is never empty, and may begin with a space
      if (space == std::string_view::npos || space + 1 == merge.size()) {
        return fail_f(ErrorCode::kCorrupt,
                      "tokenizer.ggml.merges[{}] is \"{}\"; a merge is two texts divided by a space", i, merge);
      }
      bytes.clear();
      append_piece(bytes, merge.substr(0, space));
      const size_t left = bytes.size();
      append_piece(bytes, merge.substr(space + 1));
      const std::string_view all = bytes;
      merges_.insert(symbol_of(all.substr(0, left)), symbol_of(all.substr(left)),
                     {static_cast<uint32_t>(i), symbol_of(all)});
    }
    phantom_ids_.clear();
    ranks_ = RankRange::of(0, static_cast<uint32_t>(data.merges.size()));
    return {};
  }

  void encode(std::string_view text, bool /*space_prefix*/, std::vector<int32_t>& out) const override {
    MergeScratch scratch;
    WordCache cache(text.size());
    pre_.split(text, [&](std::string_view word) {
      for (; word.size() > kMaxWordBytes; word.remove_prefix(kMaxWordBytes)) {
        encode_word(word.substr(0, kMaxWordBytes), scratch, out);
      }
      if (cache.get(word, out)) return;
      const size_t before = out.size();
      encode_word(word, scratch, out);
      cache.put(word, out.data() + before, out.size() - before);
    });
  }

 private:
  // Control and unknown tokens stay out: text that happens to spell one must not become one.
  void index_tokens() {
    for (const bool normal : {true, false}) {
      for (int32_t id = 0; id < store_.size(); ++id) {
        const TokenType type = store_.types[static_cast<size_t>(id)];
        if (type == TokenType::kControl || type == TokenType::kUnknown) continue;
        if ((type == TokenType::kNormal) == normal) index_.insert(id);
      }
    }
  }

  // The token of these bytes, or a symbol beyond the vocabulary for bytes that only take part in merges.
  int32_t symbol_of(std::string_view bytes) {
    if (const int32_t id = index_.find(bytes); id != kNoToken) return id;
    const auto [it, added] =
        phantom_ids_.try_emplace(std::string(bytes), store_.size() + static_cast<int32_t>(phantoms_.size()));
    if (added) phantoms_.emplace_back(bytes);
    return it->second;
  }

  void encode_word(std::string_view word, MergeScratch& scratch, std::vector<int32_t>& out) const {
    if (word.size() == 1 || pre_.ignore_merges) {
      if (const int32_t id = index_.find(word); id != kNoToken) return out.push_back(id);
    }
    scratch.start(word.size());
    for (size_t i = 0; i < word.size(); ++i) {
      scratch.add(static_cast<uint32_t>(i), byte_symbol_[static_cast<uint8_t>(word[i])]);
    }
    scratch.add(static_cast<uint32_t>(word.size()), kNoToken);
    merge_symbols(scratch, ranks_, [this](const Symbol& left, const Symbol& right, uint32_t) {
      return merges_.find(left.id, right.id);
    });
    for (uint32_t i = 0; i + 1 < scratch.symbols.size(); i = scratch.symbols[i].next) {
      const Symbol& s = scratch.symbols[i];
      if (s.id < store_.size()) {
        out.push_back(s.id);
      } else {
        emit_bytes(word.substr(s.begin, scratch.symbols[s.next].begin - s.begin), out);
      }
    }
  }

  // Bytes that make no token together. A vocabulary without all 256 bytes (falcon lacks those that UTF-8 never uses)
  // gets U+FFFD in the place of what it cannot say, as llama.cpp does, else its unknown token.
  void emit_bytes(std::string_view bytes, std::vector<int32_t>& out) const {
    for (const char b : bytes) {
      if (const int32_t id = byte_token_[static_cast<uint8_t>(b)]; id != kNoToken) {
        out.push_back(id);
        continue;
      }
      const int32_t replacement[] = {byte_token_[0xEF], byte_token_[0xBF], byte_token_[0xBD]};
      if (replacement[0] != kNoToken && replacement[1] != kNoToken && replacement[2] != kNoToken) {
        out.insert(out.end(), std::begin(replacement), std::end(replacement));
      } else if (store_.unk != kNoToken) {
        out.push_back(store_.unk);
      }
    }
  }

  const TokenStore& store_;
  const PreTokenizer& pre_;
  TextIndex index_;
  MergeTable merges_;
  RankRange ranks_;
  std::array<int32_t, 256> byte_token_{};   // or kNoToken
  std::array<int32_t, 256> byte_symbol_{};  // a token or a phantom
  std::vector<std::string> phantoms_;
  std::unordered_map<std::string, int32_t> phantom_ids_;  // while loading
};

}  // namespace

std::string bpe_piece(std::string_view text) {
  std::string piece;
  append_piece(piece, text);
  return piece;
}

Result<std::unique_ptr<Segmenter>> make_bpe(const TokenStore& store, const VocabData& data, const PreTokenizer& pre) {
  // Symbol ids are 32 bits: each merge adds at most three beyond the vocabulary.
  if (data.merges.size() > static_cast<size_t>(INT32_MAX / 4)) {
    return fail_f(ErrorCode::kCorrupt, "tokenizer.ggml.merges has {} entries; at most {} make sense",
                  data.merges.size(), INT32_MAX / 4);
  }
  auto bpe = std::make_unique<BpeSegmenter>(store, pre, data.merges.size());
  QUERN_CHECK_OK(bpe->load(data));
  return bpe;
}

}  // namespace quern
