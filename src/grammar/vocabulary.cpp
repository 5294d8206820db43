#include "grammar/vocabulary.h"

#include <algorithm>

namespace quern::grammar {
namespace {

constexpr size_t kPlainSizes[] = {6, 12, 24, Vocabulary::kLongest};  // characters
constexpr size_t kCounted = 24;  // of gemma-3's 245,000 plain tokens 700 have more characters

void add(std::vector<uint32_t>& words, int32_t id) {
  words[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
}

// States: 0 between characters; 1, 2 so many continuation bytes to come; then the leads with a narrower second byte.
enum : int { kBetween, kOneMore, kTwoMore, kAfterE0, kAfterED, kAfterF0, kAfterF4, kAfterF1 };

// Characters of a plain token, 0: it is not plain.
size_t plain_characters(std::string_view bytes) {
  int state = kBetween;
  size_t n = 0;
  for (const char c : bytes) {
    state = plain_next(state, static_cast<uint8_t>(c));
    if (state < 0) return 0;
    n += state == kBetween;
  }
  return state == kBetween ? n : 0;
}

}  // namespace

int plain_next(int state, uint8_t b) {
  const auto in = [b](unsigned first, unsigned last) { return b >= first && b <= last; };
  switch (state) {
    case kBetween:
      if (b < 0x80) return b >= 0x20 && b != '"' && b != '\\' && b != 0x7F ? kBetween : -1;
      if (in(0xC2, 0xDF)) return kOneMore;
      if (b == 0xE0) return kAfterE0;
      if (b == 0xED) return kAfterED;
      if (in(0xE1, 0xEF)) return kTwoMore;
      if (b == 0xF0) return kAfterF0;
      if (b == 0xF4) return kAfterF4;
      return in(0xF1, 0xF3) ? kAfterF1 : -1;
    case kOneMore:
      return in(0x80, 0xBF) ? kBetween : -1;
    case kTwoMore:
      return in(0x80, 0xBF) ? kOneMore : -1;
    case kAfterE0:
      return in(0xA0, 0xBF) ? kOneMore : -1;
    case kAfterED:
      return in(0x80, 0x9F) ? kOneMore : -1;
    case kAfterF0:
      return in(0x90, 0xBF) ? kTwoMore : -1;
    case kAfterF4:
      return in(0x80, 0x8F) ? kTwoMore : -1;
    default:
      return in(0x80, 0xBF) ? kTwoMore : -1;
  }
}

Vocabulary::Vocabulary(size_t n_vocab, const std::function<std::string(int32_t)>& bytes, std::span<const int32_t> ends)
    : twin_(n_vocab, -1), ends_(ends.begin(), ends.end()) {
  std::sort(ends_.begin(), ends_.end());
  constexpr size_t kOthers = std::size(kPlainSizes);
  std::vector<int32_t> ids[kOthers + 1];
  tries_.resize(kOthers + 1);
  std::vector<PlainToken> plain;
  bytes_first_.push_back(0);
  for (size_t i = 0; i < n_vocab; ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string text = is_end(id) ? std::string() : bytes(id);
    bytes_ += text;
    bytes_first_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (text.empty() || text.size() > kLongest) continue;
    for (const char c : text) bytes_of_all_ |= ByteSet::one(static_cast<uint8_t>(c));
    const size_t n = plain_characters(text);
    size_t kind = n == 0 ? kOthers : 0;
    while (kind < kOthers && n > kPlainSizes[kind]) ++kind;
    ids[kind].push_back(id);
    tries_[kind].max_characters = std::max(tries_[kind].max_characters, n);
    if (n > 0) plain.push_back({static_cast<uint8_t>(n), id});
  }
  count_plain(std::move(plain));
  for (size_t t = 0; t < tries_.size(); ++t) build(tries_[t], ids[t]);
}

void Vocabulary::count_plain(std::vector<PlainToken> tokens) {
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const PlainToken& a, const PlainToken& b) { return a.characters < b.characters; });
  std::vector<uint32_t> words((n_vocab() + 31) / 32);
  size_t i = 0;
  for (size_t n = 0; n <= kCounted; ++n) {
    for (; i < tokens.size() && tokens[i].characters <= n; ++i) add(words, tokens[i].id);
    plain_.push_back(words);
  }
  long_.assign(tokens.begin() + static_cast<ptrdiff_t>(i), tokens.end());
}

void Vocabulary::add_plain(size_t characters, std::vector<uint32_t>& words) const {
  const std::vector<uint32_t>& plain = plain_[std::min(characters, kCounted)];
  for (size_t i = 0; i < words.size(); ++i) words[i] |= plain[i];
  for (const PlainToken& token : long_) {
    if (token.characters > characters) break;
    add(words, token.id);
  }
}

bool Vocabulary::is_end(int32_t id) const {
  return std::binary_search(ends_.begin(), ends_.end(), id);
}

std::string_view Vocabulary::bytes(int32_t id) const {
  const auto i = static_cast<size_t>(id);
  return std::string_view(bytes_).substr(bytes_first_[i], bytes_first_[i + 1] - bytes_first_[i]);
}

void Vocabulary::build(Trie& trie, std::vector<int32_t>& ids) {
  std::sort(ids.begin(), ids.end(), [this](int32_t a, int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<uint32_t> path;  // nodes of the token before
  std::string_view before;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string_view text = bytes(ids[i]);
    if (i > 0 && text == before) {
      twin_[static_cast<size_t>(ids[i - 1])] = ids[i];
      continue;
    }
    size_t same = 0;
    while (same < text.size() && same < before.size() && text[same] == before[same]) ++same;
    for (size_t d = same; d < path.size(); ++d) trie.nodes[path[d]].end = static_cast<uint32_t>(trie.nodes.size());
    path.resize(same);
    for (size_t d = same; d < text.size(); ++d) {
      path.push_back(static_cast<uint32_t>(trie.nodes.size()));
      trie.nodes.push_back({.byte = static_cast<uint8_t>(text[d]), .depth = static_cast<uint8_t>(d)});
    }
    trie.nodes[path.back()].token = 1 + static_cast<uint32_t>(ids[i]);
    before = text;
  }
  for (const uint32_t node : path) trie.nodes[node].end = static_cast<uint32_t>(trie.nodes.size());
}

int32_t Vocabulary::longest(std::string_view text) const {
  int32_t best = -1;
  size_t best_bytes = 0;
  for (const Trie& trie : tries_) {
    uint32_t at = 0, end = static_cast<uint32_t>(trie.nodes.size());
    for (size_t d = 0; d < text.size() && at < end;) {
      const Node& node = trie.nodes[at];
      if (node.byte != static_cast<uint8_t>(text[d])) {
        at = node.end;
        continue;
      }
      ++d;
      if (node.token != 0 && d > best_bytes) {
        best = static_cast<int32_t>(node.token - 1);
        best_bytes = d;
      }
      end = node.end;
      ++at;
    }
  }
  return best;
}

bool Vocabulary::goes_on(std::string_view prefix, const std::function<bool(uint8_t)>& takes) const {
  for (const Trie& trie : tries_) {
    uint32_t at = 0, end = static_cast<uint32_t>(trie.nodes.size());
    size_t d = 0;
    while (d < prefix.size() && at < end) {
      const Node& node = trie.nodes[at];
      if (node.byte != static_cast<uint8_t>(prefix[d])) {
        at = node.end;
        continue;
      }
      ++d;
      end = node.end;
      ++at;
    }
    if (d < prefix.size()) continue;
    for (; at < end; at = trie.nodes[at].end) {
      if (takes(trie.nodes[at].byte)) return true;
    }
  }
  return false;
}

}  // namespace quern::grammar
