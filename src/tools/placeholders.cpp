#include "tools/placeholders.h"

#include <algorithm>

namespace quern::toolbox {

bool is_argument_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && name.size() <= 64 && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

Result<Pattern> parse_pattern(std::string_view text) {
  Pattern pattern;
  std::string plain;
  const auto end_plain = [&] {
    if (!plain.empty()) pattern.pieces.push_back({false, std::move(plain)});
    plain.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      plain += c;
      ++i;
    } else if (c == '}') {
      return fail(ErrorCode::kInvalidArgument, "a '}' without its '{'; a brace itself is written '}}'");
    } else if (c == '{') {
      const size_t close = text.find('}', i);
      if (close == std::string_view::npos) {
        return fail(ErrorCode::kInvalidArgument, "a '{' without its '}'; a brace itself is written '{{'");
      }
      const std::string_view name = text.substr(i + 1, close - i - 1);
      if (!is_argument_name(name)) {
        return fail_f(ErrorCode::kInvalidArgument, "'{{{}}}' is not the name of an argument; a brace is written '{{{{'",
                      name.substr(0, 64));
      }
      end_plain();
      pattern.pieces.push_back({true, std::string(name)});
      i = close;
    } else {
      plain += c;
    }
  }
  end_plain();
  return pattern;
}

}  // namespace quern::toolbox
