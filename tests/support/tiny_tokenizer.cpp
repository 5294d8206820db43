#include "tests/support/tiny_tokenizer.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace quern {
namespace {

enum : int32_t { kNormal = 1, kControl = 3, kUnused = 5 };  // tokenizer.ggml.token_type

constexpr std::string_view kFrequent = "etaoinshrdlu";

constexpr std::string_view kTemplate =
    "{% for message in messages %}{{ '<|turn|>' + message['role'] + '\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}";

// A byte as GPT-2 writes it: printable Latin-1 as itself, the others as the code points from 256 on.
std::string byte_token(unsigned byte, unsigned& next_code_point) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
  const unsigned c = printable ? byte : next_code_point++;
  if (c < 0x80) return std::string(1, static_cast<char>(c));
  return {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
}

}  // namespace

void add_tiny_tokenizer(GgufWriter& writer, size_t n_vocab) {
  std::vector<std::string> tokens;
  std::vector<std::string> merges;
  tokens.reserve(n_vocab);
  unsigned next_code_point = 256;
  for (unsigned b = 0; b < 256; ++b) tokens.push_back(byte_token(b, next_code_point));
  std::vector<int32_t> types(tokens.size(), kNormal);
  for (const char* special : {"<|bos|>", "<|eos|>", "<|turn|>", "<|end|>"}) tokens.emplace_back(special);
  types.resize(tokens.size(), kControl);
  for (size_t i = 0; tokens.size() < n_vocab && i < kFrequent.size() * kFrequent.size(); ++i) {
    const char a = kFrequent[i / kFrequent.size()];
    const char b = kFrequent[i % kFrequent.size()];
    tokens.push_back({a, b});
    merges.push_back({a, ' ', b});
  }
  types.resize(tokens.size(), kNormal);
  while (tokens.size() < n_vocab) tokens.push_back(fmt::format("<|unused_{}|>", tokens.size()));
  types.resize(tokens.size(), kUnused);

  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", "gpt-2");
  const std::vector<std::string_view> token_views(tokens.begin(), tokens.end());
  writer.add_strings("tokenizer.ggml.tokens", token_views);
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  const std::vector<std::string_view> merge_views(merges.begin(), merges.end());
  writer.add_strings("tokenizer.ggml.merges", merge_views);
  writer.add("tokenizer.ggml.bos_token_id", kTinyBos);
  writer.add("tokenizer.ggml.eos_token_id", kTinyEos);
  writer.add("tokenizer.ggml.eot_token_id", kTinyTurnEnd);
  writer.add("tokenizer.ggml.add_bos_token", false);
  writer.add("tokenizer.chat_template", kTemplate);
}

}  // namespace quern
