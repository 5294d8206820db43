#include "text/detokenizer.h"

#include "text/utf8.h"

namespace quern {

std::string Detokenizer::push(int32_t id) {
  pending_ += tokenizer_->next_piece(id, render_special_, strip_);
  std::string out;
  size_t pos = 0;
  while (pos < pending_.size()) {
    const Utf8Char c = utf8_decode(pending_, pos);
    if (c.incomplete) break;
    if (c.valid) {
      out.append(pending_, pos, c.len);
    } else {
      utf8_append(out, kReplacementChar);
    }
    pos += c.len;
  }
  pending_.erase(0, pos);
  return out;
}

std::string Detokenizer::flush() {
  std::string out;
  if (!pending_.empty()) utf8_append(out, kReplacementChar);
  pending_.clear();
  return out;
}

}  // namespace quern
