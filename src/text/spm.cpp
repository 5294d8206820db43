// SentencePiece BPE (Kudo and Richardson 2018): characters are merged by the score of the token that they make; what is
// no token in the end is spelled in byte tokens.
//
// Texts are matched with plain spaces: the pieces hold them in the place of U+2581. A U+2581 in the text itself is then
// spelled in bytes and comes back as it was (SentencePiece would turn it into a space).
#include <algorithm>
#include <array>
#include <bit>

#include "text/merge.h"
#include "text/segmenter.h"
#include "text/utf8.h"

namespace quern {
namespace {

// A higher score is a lower rank: the order of IEEE 754 bits, reversed. Scores are finite.
uint32_t rank_of_score(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // + 0 makes -0 equal to 0
  return bits >> 31 != 0 ? (bits & 0x7fffffffu) | 0x80000000u : 0x7fffffffu - bits;
}

// Which two characters are neighbours inside some token. Between two that are not, no merge can ever reach across, so
// that a text may be cut there with the same result: prose falls into words, which the cache knows. A Bloom filter of
// one hash: a false yes costs time only.
class NeighbourFilter {
 public:
  void add(uint32_t left, uint32_t right) { bits_[slot(left, right) / 64] |= uint64_t{1} << slot(left, right) % 64; }
  [[nodiscard]] bool may_join(uint32_t left, uint32_t right) const {
    return (bits_[slot(left, right) / 64] >> slot(left, right) % 64 & 1) != 0;
  }

 private:
  static constexpr int kBits = 21;
  static size_t slot(uint32_t left, uint32_t right) {
    return ((static_cast<uint64_t>(left) << 32 | right) * 0x9e3779b97f4a7c15ull) >> (64 - kBits);
  }
  std::vector<uint64_t> bits_ = std::vector<uint64_t>(size_t{1} << (kBits - 6));
};

// Invalid bytes are characters of their own kind.
uint32_t char_of(std::string_view text, size_t pos, const Utf8Char& c) {
  return c.valid ? c.cp : 0x110000u + static_cast<uint8_t>(text[pos]);
}
uint8_t char_len(const Utf8Char& c) {
  return c.valid ? c.len : 1;
}

class SpmSegmenter final : public Segmenter {
 public:
  explicit SpmSegmenter(const TokenStore& store) : store_(store), index_(store.pieces, store.types.size()) {
    byte_token_.fill(store.unk);
    for (int32_t id = 0; id < store.size(); ++id) load_token(id);
    const auto [low, high] = std::minmax_element(store.scores.begin(), store.scores.end());
    ranks_ = RankRange::of(rank_of_score(*high), rank_of_score(*low));
  }

  void encode(std::string_view text, bool space_prefix, std::vector<int32_t>& out) const override {
    std::string prefixed;
    if (space_prefix) {
      prefixed.reserve(text.size() + 1);
      text = prefixed.append(" ").append(text);
    }
    MergeScratch scratch;
    WordCache cache(text.size());
    for (size_t pos = 0; pos < text.size();) {
      const std::string_view chunk = chunk_at(text, pos);
      pos += chunk.size();
      if (cache.get(chunk, out)) continue;
      const size_t before = out.size();
      encode_chunk(chunk, scratch, out);
      cache.put(chunk, out.data() + before, out.size() - before);
    }
  }

 private:
  void load_token(int32_t id) {
    const auto i = static_cast<size_t>(id);
    const TokenType type = store_.types[i];
    if (type == TokenType::kByte) {
      if (const int value = byte_token_value(store_.texts[i]); value >= 0) byte_token_[static_cast<size_t>(value)] = id;
    }
    // Control, unknown and byte tokens never come from text that happens to spell them; user-defined ones were cut out
    // before, and with a space prefix must not arise from it.
    if (type != TokenType::kNormal && type != TokenType::kUnused && type != TokenType::kUndefined) return;
    index_.insert(id);
    const std::string_view piece = store_.pieces[i];
    uint32_t previous = 0;
    for (size_t pos = 0; pos < piece.size();) {
      const Utf8Char c = utf8_decode(piece, pos);
      const uint32_t current = char_of(piece, pos, c);
      if (pos > 0) joins_.add(previous, current);
      previous = current;
      pos += char_len(c);
    }
  }

  // From `pos` to the next place that no token spans.
  [[nodiscard]] std::string_view chunk_at(std::string_view text, size_t pos) const {
    Utf8Char c = utf8_decode(text, pos);
    size_t end = pos + char_len(c);
    for (uint32_t previous = char_of(text, pos, c); end < text.size() && end - pos < kMaxWordBytes;) {
      c = utf8_decode(text, end);
      const uint32_t current = char_of(text, end, c);
      if (!joins_.may_join(previous, current)) break;
      previous = current;
      end += char_len(c);
    }
    return text.substr(pos, end - pos);
  }

  void encode_chunk(std::string_view chunk, MergeScratch& scratch, std::vector<int32_t>& out) const {
    scratch.start(chunk.size());
    for (size_t pos = 0; pos < chunk.size();) {
      const uint8_t len = char_len(utf8_decode(chunk, pos));
      scratch.add(static_cast<uint32_t>(pos), index_.find(chunk.substr(pos, len)));
      pos += len;
    }
    scratch.add(static_cast<uint32_t>(chunk.size()), kNoToken);
    merge_symbols(scratch, ranks_, [&](const Symbol& left, const Symbol&, uint32_t end) -> PairMerge {
      const int32_t id = index_.find(chunk.substr(left.begin, end - left.begin));
      if (id == kNoToken) return {};
      return {rank_of_score(store_.scores[static_cast<size_t>(id)]), id};
    });
    for (uint32_t i = 0; i + 1 < scratch.symbols.size(); i = scratch.symbols[i].next) {
      const Symbol& s = scratch.symbols[i];
      if (s.id != kNoToken) {
        out.push_back(s.id);
        continue;
      }
      for (uint32_t b = s.begin; b < scratch.symbols[s.next].begin; ++b) {
        const int32_t id = byte_token_[static_cast<uint8_t>(chunk[b])];
        if (id != kNoToken) out.push_back(id);
      }
    }
  }

  const TokenStore& store_;
  TextIndex index_;
  NeighbourFilter joins_;
  RankRange ranks_;
  std::array<int32_t, 256> byte_token_{};  // the unknown token where the vocabulary has no byte tokens
};

}  // namespace

int byte_token_value(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const size_t digit = kDigits.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c);
    if (digit == std::string_view::npos) return -1;
    value = value * 16 + static_cast<int>(digit);
  }
  return value;
}

std::string spm_piece(std::string_view text) {
  std::string piece;
  for (size_t pos = 0; pos < text.size();) {
    const size_t mark = std::min(text.find(kSpaceMark, pos), text.size());
    piece.append(text.substr(pos, mark - pos));
    if (mark < text.size()) piece.push_back(' ');
    pos = mark + kSpaceMark.size();
  }
  return piece;
}

Result<std::unique_ptr<Segmenter>> make_spm(const TokenStore& store) {
  return std::make_unique<SpmSegmenter>(store);
}

}  // namespace quern
