#include "gguf/printable.h"

#include <fmt/format.h>

namespace quern {

std::string printable(std::string_view text) {
  constexpr size_t kMax = 80;
  std::string out;
  for (const char c : text.substr(0, kMax)) {
    if (c >= 0x20 && c < 0x7f && c != '\\') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (text.size() > kMax) out += "...";
  return out;
}

}  // namespace quern
