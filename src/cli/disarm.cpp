#include "cli/disarm.h"

#include <set>

#include "text/utf8.h"

namespace quern::cli {

namespace {

constexpr std::string_view kZeroWidthSpace = "\xE2\x80\x8B";

// The texts in `text` that are control tokens: tokens that come only where control tokens are looked for.
std::set<std::string> control_texts(const Engine& engine, const std::string& text) {
  std::set<std::string> found;
  const auto ids = engine.tokenize(text, /*add_special=*/false, /*parse_special=*/true);
  if (ids == engine.tokenize(text, /*add_special=*/false, /*parse_special=*/false)) return found;
  std::set<int32_t> seen;
  for (const int32_t id : ids) {
    if (!seen.insert(id).second) continue;
    const std::string piece = engine.piece(id);
    const std::vector<int32_t> alone = {id};
    const bool control = piece.size() > 1 && text.find(piece) != std::string::npos &&
                         engine.tokenize(piece, false, /*parse_special=*/true) == alone &&
                         engine.tokenize(piece, false, /*parse_special=*/false) != alone;
    if (control) found.insert(piece);
  }
  return found;
}

}  // namespace

std::string disarm(const Engine& engine, std::string text) {
  // What one replacement leaves may hold another token, one that was within a longer one; not for long.
  constexpr int kMostPasses = 8;
  for (int pass = 0; pass < kMostPasses; ++pass) {
    const auto found = control_texts(engine, text);
    if (found.empty()) break;
    for (const std::string& piece : found) {
      std::string broken = piece;
      broken.insert(utf8_decode(piece, 0).len, kZeroWidthSpace);
      for (size_t at = 0; (at = text.find(piece, at)) != std::string::npos; at += broken.size()) {
        text.replace(at, piece.size(), broken);
      }
    }
  }
  return text;
}

}  // namespace quern::cli
