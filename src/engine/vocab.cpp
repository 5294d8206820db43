#include "engine/vocab.h"

#include <algorithm>
#include <cctype>

namespace quern {
namespace {

Status read_id(const GgufView& gguf, std::string_view key, std::optional<int32_t>& id) {
  if (gguf.find(key) == nullptr) return {};
  QUERN_TRY(const int64_t value, gguf.get_i64(key));
  // All bits set is how some converters write "none".
  if (value == -1 || value == UINT32_MAX) return {};
  if (value < 0 || value > INT32_MAX) {
    return fail_f(ErrorCode::kCorrupt, "{}: {} is {}, which is no token id", gguf.file_name(), key, value);
  }
  id = static_cast<int32_t>(value);
  return {};
}

Status read_flag(const GgufView& gguf, std::string_view key, std::optional<bool>& flag) {
  if (gguf.find(key) == nullptr) return {};
  QUERN_TRY(flag, gguf.get_bool(key));
  return {};
}

Status read_texts(const GgufView& gguf, std::string_view key, std::vector<std::string_view>& texts) {
  QUERN_TRY(const GgufStrings strings, gguf.get_strings(key));
  texts.reserve(strings.size());
  for (const std::string_view text : strings) texts.push_back(text);
  return {};
}

template <class T>
Status read_numbers(const GgufView& gguf, std::string_view key, std::vector<T>& numbers) {
  if (gguf.find(key) == nullptr) return {};
  QUERN_TRY(numbers, gguf.get_array<T>(key));
  return {};
}

// GGUF has no key for tokens that swallow neighbouring white space; the models that have them are known by name, as in
// llama.cpp: phi-3's special tokens swallow what follows, the mask of jina-v2 and modern-bert what precedes.
Status find_stripping_tokens(const GgufView& gguf, VocabData& data) {
  QUERN_TRY(const std::string_view name, gguf.get_string("general.name", ""));
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool phi3 = lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
  const bool modern_bert = lower.find("modern-bert") != std::string::npos;
  const bool jina = data.pre == "jina-v2-de" || data.pre == "jina-v2-es" || data.pre == "jina-v2-code";
  if (!phi3 && !modern_bert && !jina) return {};
  for (size_t i = 0; i < data.tokens.size() && i < data.types.size(); ++i) {
    const std::string_view text = data.tokens[i];
    const auto type = static_cast<TokenType>(data.types[i]);
    const bool special = type == TokenType::kControl || type == TokenType::kUserDefined || type == TokenType::kUnknown;
    const bool plain = text == "<unk>" || text == "<s>" || text == "<|endoftext|>";
    if (phi3 && special && !plain) data.rstrip.push_back(static_cast<int32_t>(i));
    if ((jina && text == "<mask>") || (modern_bert && text == "[MASK]")) data.lstrip.push_back(static_cast<int32_t>(i));
  }
  return {};
}

}  // namespace

Result<VocabData> read_vocab(const GgufView& gguf) {
  VocabData data;
  if (gguf.find("tokenizer.ggml.model") == nullptr) {
    return fail_f(ErrorCode::kNotFound, "{}: no key tokenizer.ggml.model: the file has no tokenizer", gguf.file_name());
  }
  QUERN_TRY(data.model, gguf.get_string("tokenizer.ggml.model"));
  QUERN_TRY(data.pre, gguf.get_string("tokenizer.ggml.pre", ""));
  QUERN_CHECK_OK(read_texts(gguf, "tokenizer.ggml.tokens", data.tokens));
  if (data.model == "gpt2") QUERN_CHECK_OK(read_texts(gguf, "tokenizer.ggml.merges", data.merges));
  QUERN_CHECK_OK(read_numbers(gguf, "tokenizer.ggml.scores", data.scores));
  QUERN_CHECK_OK(read_numbers(gguf, "tokenizer.ggml.token_type", data.types));

  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.bos_token_id", data.bos));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.eos_token_id", data.eos));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.eot_token_id", data.eot));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.eom_token_id", data.eom));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.unknown_token_id", data.unk));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.seperator_token_id", data.sep));  // the format's own spelling
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.padding_token_id", data.pad));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.cls_token_id", data.cls));
  QUERN_CHECK_OK(read_id(gguf, "tokenizer.ggml.mask_token_id", data.mask));

  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.add_bos_token", data.add_bos));
  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.add_eos_token", data.add_eos));
  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.add_sep_token", data.add_sep));
  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.add_space_prefix", data.add_space_prefix));
  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.normalizer.lowercase", data.lowercase));
  QUERN_CHECK_OK(read_flag(gguf, "tokenizer.ggml.normalizer.strip_accents", data.strip_accents));
  QUERN_CHECK_OK(find_stripping_tokens(gguf, data));
  return data;
}

}  // namespace quern
