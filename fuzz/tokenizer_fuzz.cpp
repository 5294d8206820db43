// Random vocabularies and texts: create refuses or works; then encode and decode never crash, the stream is valid
// UTF-8, and vocabularies with all bytes give any text back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using quern::TokenType;

// Takes the input apart from its front; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto b = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return b;
  }
  std::string_view text(size_t n) {
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(out.size());
    return out;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

void check(bool ok) {
  if (!ok) std::abort();
}

void check_text(const quern::Tokenizer& tokenizer, std::string_view text, bool exact) {
  for (const bool parse : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = parse, .parse_special = parse});
    for (const int32_t id : ids) check(id >= 0 && id < tokenizer.n_vocab());
    const std::string back = tokenizer.decode(ids, {.render_special = false, .text_start = true});
    if (exact && !parse) check(back == text);
    quern::Detokenizer stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    streamed += stream.flush();
    for (size_t pos = 0; pos < streamed.size();) {
      const quern::Utf8Char c = quern::utf8_decode(streamed, pos);
      check(c.valid);
      pos += c.len;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  quern::VocabData vocab;
  const uint8_t family = in.byte() % 3;
  const auto names = quern::pretokenizer_names();
  vocab.model = family == 0 ? "gpt2" : family == 1 ? "llama" : "bert";
  vocab.pre = names[in.byte() % names.size()];
  const uint8_t flags = in.byte();
  if ((flags & 1) != 0) vocab.add_space_prefix = (flags & 2) != 0;
  if ((flags & 4) != 0) vocab.bos = in.byte(), vocab.eos = in.byte(), vocab.unk = in.byte();
  if ((flags & 8) != 0) vocab.add_bos = true;

  std::vector<std::string> own;  // the byte tokens, so that most vocabularies can say everything
  const bool all_bytes = family != 2 && (flags & 16) == 0;
  own.reserve(256);
  for (int b = 0, next = 0x100; all_bytes && b < 256; ++b) {
    std::string token;
    if (family == 0) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      quern::utf8_append(token, static_cast<uint32_t>(printable ? b : next++));
    } else {
      constexpr char kHex[] = "0123456789ABCDEF";
      token = std::string("<0x") + kHex[b >> 4] + kHex[b & 15] + ">";
    }
    own.push_back(token);
    vocab.types.push_back(static_cast<int32_t>(family == 0 ? TokenType::kNormal : TokenType::kByte));
    vocab.scores.push_back(0);
  }
  vocab.tokens.assign(own.begin(), own.end());
  for (int n = in.byte() % 64; n > 0; --n) {
    const uint8_t head = in.byte();
    vocab.tokens.push_back(in.text(head >> 4));
    vocab.types.push_back(head & 7);
    vocab.scores.push_back(static_cast<float>(in.byte()) - 128.0f);
  }
  for (int n = family == 0 ? in.byte() % 64 : 0; n > 0; --n) vocab.merges.push_back(in.text(in.byte() & 15));
  // Byte and unknown tokens spelled by hand may decode to anything.
  bool exact = all_bytes;
  for (size_t i = own.size(); i < vocab.types.size(); ++i) {
    exact = exact && (vocab.types[i] == 1 || vocab.types[i] == 4) && !vocab.tokens[i].empty();
  }
  const auto tokenizer = quern::Tokenizer::create(vocab);
  if (!tokenizer) return 0;
  for (int32_t id = 0; id < (*tokenizer)->n_vocab(); ++id) {
    // A normal token that is called <|im_end|> becomes control, and is not rendered.
    exact = exact && !(*tokenizer)->is_control(id);
  }
  check_text(**tokenizer, in.rest(), exact);
  return 0;
}
