#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace quern {
namespace {

// Names by which models call the tokens that end a turn. Those of the second list are ordinary text too: they count
// only when the file says that they are special.
constexpr std::string_view kEndNames[] = {
    "<|eot_id|>",         "<|im_end|>",    "<|end|>",         "<|return|>",      "<|call|>",
    "<|calls|>",          "<|flush|>",     "<end_of_turn>",   "<|eom_id|>",      "<turn|>",
    "<end_of_utterance>", "<|endoftext|>", "<|end_of_text|>", "<|end_of_turn|>", "<｜end▁of▁sentence｜>",
};
constexpr std::string_view kEndNamesIfSpecial[] = {"</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"};

template <size_t N>
bool is_one_of(std::string_view text, const std::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), text) != std::end(names);
}

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

Status check_id(std::string_view key, std::optional<int32_t> id, size_t n_vocab) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < n_vocab)) return {};
  return fail_f(ErrorCode::kCorrupt, "{} is {}, the vocabulary has {} tokens", key, *id, n_vocab);
}

Status check_size(std::string_view key, size_t size, size_t n_vocab) {
  if (size == n_vocab) return {};
  return fail_f(ErrorCode::kCorrupt, "{} has {} entries, tokenizer.ggml.tokens has {}", key, size, n_vocab);
}

// A default that only holds where the vocabulary reaches that far.
std::optional<int32_t> or_default(std::optional<int32_t> id, int32_t fallback, size_t n_vocab) {
  return id || static_cast<size_t>(fallback) >= n_vocab ? id : fallback;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(const VocabData& data) {
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer);
  QUERN_CHECK_OK(tokenizer->load(data));
  return tokenizer;
}

Status Tokenizer::load(const VocabData& data) {
  const size_t n = data.tokens.size();
  if (data.model == "gpt2") {
    family_ = Family::kBpe;
    QUERN_TRY(pre_, find_pretokenizer(data.pre));
  } else if (data.model == "llama") {
    family_ = Family::kSpm;
  } else if (data.model == "bert") {
    family_ = Family::kWordPiece;
  } else {
    return fail_f(
        ErrorCode::kUnsupported,
        "tokenizer.ggml.model is \"{}\"; this version knows gpt2 (BPE), llama (SentencePiece), bert (WordPiece)",
        data.model);
  }
  if (n == 0) return fail(ErrorCode::kCorrupt, "tokenizer.ggml.tokens is empty");
  if (n > kMaxVocab) {
    return fail_f(ErrorCode::kUnsupported, "tokenizer.ggml.tokens has {} entries; at most {} are read", n, kMaxVocab);
  }
  if (!data.types.empty()) QUERN_CHECK_OK(check_size("tokenizer.ggml.token_type", data.types.size(), n));
  if (family_ == Family::kSpm) {
    QUERN_CHECK_OK(check_size("tokenizer.ggml.scores", data.scores.size(), n));
    for (size_t i = 0; i < n; ++i) {
      if (!std::isfinite(data.scores[i])) {
        return fail_f(ErrorCode::kCorrupt, "tokenizer.ggml.scores[{}] is not a finite number", i);
      }
    }
    store_.scores = data.scores;
  }
  QUERN_CHECK_OK(load_ids(data));
  store_.types.assign(n, TokenType::kNormal);
  for (size_t i = 0; i < data.types.size(); ++i) {
    const int32_t type = data.types[i];
    store_.types[i] = type >= 0 && type <= 6 ? static_cast<TokenType>(type) : TokenType::kUndefined;
  }
  size_t bytes = 0;
  for (const std::string_view text : data.tokens) bytes += text.size();
  store_.texts.reserve(n, bytes);
  for (const std::string_view text : data.tokens) store_.texts.add(text);
  load_eog();
  load_pieces(data);
  QUERN_CHECK_OK(load_specials(data));

  Result<std::unique_ptr<Segmenter>> made = nullptr;
  if (family_ == Family::kBpe) {
    made = make_bpe(store_, data, *pre_);
  } else if (family_ == Family::kSpm) {
    made = make_spm(store_);
  } else {
    const bool lowercase = data.lowercase.value_or(true);
    made = make_wordpiece(store_, {lowercase, data.strip_accents.value_or(lowercase)});
  }
  QUERN_TRY(segmenter_, std::move(made));
  return {};
}

Status Tokenizer::load_ids(const VocabData& data) {
  const size_t n = data.tokens.size();
  const std::pair<std::string_view, std::optional<int32_t>> ids[] = {
      {"tokenizer.ggml.bos_token_id", data.bos},     {"tokenizer.ggml.eos_token_id", data.eos},
      {"tokenizer.ggml.eot_token_id", data.eot},     {"tokenizer.ggml.eom_token_id", data.eom},
      {"tokenizer.ggml.unknown_token_id", data.unk}, {"tokenizer.ggml.seperator_token_id", data.sep},
      {"tokenizer.ggml.padding_token_id", data.pad}, {"tokenizer.ggml.cls_token_id", data.cls},
      {"tokenizer.ggml.mask_token_id", data.mask},
  };
  for (const auto& [key, id] : ids) QUERN_CHECK_OK(check_id(key, id, n));
  bos_ = data.bos, eos_ = data.eos, eot_ = data.eot, eom_ = data.eom, unk_ = data.unk;
  sep_ = data.sep, pad_ = data.pad, cls_ = data.cls, mask_ = data.mask;
  if (family_ == Family::kSpm) {
    bos_ = or_default(bos_, 1, n), eos_ = or_default(eos_, 2, n), unk_ = or_default(unk_, 0, n);
  } else if (family_ == Family::kWordPiece) {
    cls_ = or_default(cls_ ? cls_ : bos_, 101, n), sep_ = or_default(sep_ ? sep_ : eos_, 102, n);
    bos_ = bos_ ? bos_ : cls_;
    unk_ = or_default(unk_, 100, n), pad_ = or_default(pad_, 0, n), mask_ = or_default(mask_, 103, n);
  }
  store_.unk = unk_.value_or(kNoToken);

  const bool word_piece = family_ == Family::kWordPiece;
  add_space_prefix_ = family_ == Family::kSpm && data.add_space_prefix.value_or(true);
  add_bos_ = data.add_bos.value_or(bos_.has_value() && (family_ != Family::kBpe || pre_->add_bos));
  add_eos_ = data.add_eos.value_or(false);
  add_sep_ = data.add_sep.value_or(word_piece && sep_.has_value()) && word_piece;
  if (add_bos_ && !bos_) {
    return fail(ErrorCode::kCorrupt, "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is absent");
  }
  if (add_eos_ && !eos_) {
    return fail(ErrorCode::kCorrupt, "tokenizer.ggml.add_eos_token is true, but tokenizer.ggml.eos_token_id is absent");
  }
  if (add_sep_ && !sep_) {
    return fail(ErrorCode::kCorrupt,
                "tokenizer.ggml.add_sep_token is true, but tokenizer.ggml.seperator_token_id is absent");
  }
  return {};
}

// The end-of-turn tokens, by id and by name. Their type becomes control, which some converters forget.
void Tokenizer::load_eog() {
  bool has_return = false, has_call = false, has_flush = false;
  std::optional<int32_t> end;
  for (int32_t id = 0; id < store_.size(); ++id) {
    const std::string_view name = text(id);
    TokenType& type = store_.types[static_cast<size_t>(id)];
    const bool special = type == TokenType::kControl || type == TokenType::kUserDefined;
    if (name.size() < 4 || !(is_one_of(name, kEndNames) || (special && is_one_of(name, kEndNamesIfSpecial)))) continue;
    type = TokenType::kControl;
    eog_.push_back(id);
    if (name == "<|end|>") end = id;
    has_return = has_return || name == "<|return|>";
    has_call = has_call || name == "<|call|>" || name == "<|calls|>";
    has_flush = has_flush || name == "<|flush|>";
    if (!eot_ && (name == "<|eot_id|>" || name == "<|im_end|>" || name == "<end_of_turn>")) eot_ = id;
  }
  // In gpt-oss's harmony format <|end|> ends a message, not the turn, which <|return|> or <|call|> does.
  if (end && has_call && (has_return || has_flush)) std::erase(eog_, *end);
  for (const auto id : {eos_, eot_, eom_}) {
    if (id) eog_.push_back(*id);
  }
  std::sort(eog_.begin(), eog_.end());
  eog_.erase(std::unique(eog_.begin(), eog_.end()), eog_.end());
}

void Tokenizer::load_pieces(const VocabData& data) {
  const auto starts_with = [&](std::string_view prefix) {
    return std::any_of(data.tokens.begin(), data.tokens.end(),
                       [&](std::string_view text) { return text.substr(0, prefix.size()) == prefix; });
  };
  const bool hash_marks = family_ == Family::kWordPiece && starts_with("##") && !starts_with(kSpaceMark);
  size_t bytes = 0;
  for (const std::string_view text : data.tokens) bytes += text.size();
  store_.pieces.reserve(data.tokens.size(), bytes);
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string_view text = data.tokens[i];
    const TokenType type = store_.types[i];
    if (const int byte = type == TokenType::kByte ? byte_token_value(text) : -1; byte >= 0) {
      const char c = static_cast<char>(byte);
      store_.pieces.add({&c, 1});
    } else if (type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined) {
      store_.pieces.add(text);
    } else if (family_ == Family::kBpe) {
      store_.pieces.add(bpe_piece(text));
    } else if (family_ == Family::kSpm) {
      store_.pieces.add(spm_piece(text));
    } else {
      store_.pieces.add(wordpiece_piece(text, hash_marks));
    }
  }
}

Status Tokenizer::load_specials(const VocabData& data) {
  for (int32_t id = 0; id < store_.size(); ++id) {
    const TokenType t = type(id);
    if (t == TokenType::kControl || t == TokenType::kUnknown || t == TokenType::kUserDefined) {
      if (text(id).size() > kMaxSpecialBytes) {
        return fail_f(ErrorCode::kUnsupported,
                      "tokenizer.ggml.tokens[{}] is a special token of {} bytes; at most {} are read", id,
                      text(id).size(), kMaxSpecialBytes);
      }
      specials_.insert(text(id), id, t == TokenType::kUserDefined);
    }
  }
  const auto add = [&](std::string_view what, const std::vector<int32_t>& ids, Strip flag) -> Status {
    for (const int32_t id : ids) {
      QUERN_CHECK_OK(check_id(what, id, data.tokens.size()));
      strips_.emplace_back(id, flag);
    }
    return {};
  };
  QUERN_CHECK_OK(add("a token that strips to its left", data.lstrip, kStripLeft));
  QUERN_CHECK_OK(add("a token that strips to its right", data.rstrip, kStripRight));
  std::sort(strips_.begin(), strips_.end());
  size_t kept = 0;
  for (size_t i = 0; i < strips_.size(); ++i) {
    if (kept > 0 && strips_[kept - 1].first == strips_[i].first) {
      strips_[kept - 1].second |= strips_[i].second;
    } else {
      strips_[kept++] = strips_[i];
    }
  }
  strips_.resize(kept);
  return {};
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  if (options.add_special && add_bos_) ids.push_back(*bos_);
  const auto strips = [&](int32_t id, Strip flag) {
    const auto it = std::lower_bound(strips_.begin(), strips_.end(), std::pair<int32_t, uint8_t>(id, 0));
    return it != strips_.end() && it->first == id && (it->second & flag) != 0;
  };
  for (size_t pos = 0; pos < text.size();) {
    const SpecialTrie::Match match = specials_.find(text, pos, options.parse_special);
    const bool found = match.id != kNoToken;
    size_t end = found ? match.begin : text.size();
    while (found && end > pos && is_ascii_space(text[end - 1]) && strips(match.id, kStripLeft)) --end;
    // Every stretch begins the text or follows a special token: SentencePiece's prefix goes before each.
    if (end > pos) segmenter_->encode(text.substr(pos, end - pos), add_space_prefix_, ids);
    if (!found) break;
    ids.push_back(match.id);
    pos = match.end;
    while (pos < text.size() && is_ascii_space(text[pos]) && strips(match.id, kStripRight)) ++pos;
  }
  if (options.add_special && add_sep_) ids.push_back(*sep_);
  if (options.add_special && add_eos_) ids.push_back(*eos_);
  return ids;
}

std::string_view Tokenizer::text(int32_t id) const {
  return id >= 0 && id < store_.size() ? store_.texts[static_cast<size_t>(id)] : std::string_view();
}

TokenType Tokenizer::type(int32_t id) const {
  return id >= 0 && id < store_.size() ? store_.types[static_cast<size_t>(id)] : TokenType::kUndefined;
}

std::optional<int32_t> Tokenizer::find(std::string_view name) const {
  for (int32_t id = 0; id < store_.size(); ++id) {
    if (text(id) == name) return id;
  }
  return std::nullopt;
}

bool Tokenizer::is_eog(int32_t id) const {
  return std::binary_search(eog_.begin(), eog_.end(), id);
}

std::string_view Tokenizer::piece(int32_t id, bool render_special) const {
  const TokenType t = type(id);
  if (id < 0 || id >= store_.size()) return {};
  if (!render_special && (t == TokenType::kControl || t == TokenType::kUnknown)) return {};
  return store_.pieces[static_cast<size_t>(id)];
}

bool Tokenizer::takes_space_prefix_after(int32_t id) const {
  const TokenType t = type(id);
  return add_space_prefix_ && (t == TokenType::kControl || t == TokenType::kUnknown || t == TokenType::kUserDefined);
}

std::string_view Tokenizer::next_piece(int32_t id, bool render_special, bool& strip) const {
  std::string_view out = piece(id, render_special);
  if (takes_space_prefix_after(id)) {
    strip = true;
    return out;
  }
  // WordPiece has no spaces of its own to keep: the first word's mark is taken away likewise.
  const bool prefixed = add_space_prefix_ || family_ == Family::kWordPiece;
  if (strip && prefixed && out.substr(0, 1) == " ") out.remove_prefix(1);
  if (!piece(id, true).empty() && !is_control(id)) strip = false;
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, DecodeOptions options) const {
  std::string out;
  bool strip = options.text_start;
  for (const int32_t id : ids) out += next_piece(id, options.render_special, strip);
  return out;
}

}  // namespace quern
