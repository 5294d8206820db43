#include "sample/dry.h"

#include <algorithm>

#include "base/det_math.h"

namespace quern {
namespace {

constexpr size_t kMaxBreakerBytes = 40;
constexpr size_t kMaxTailTokens = 20;

bool by_head(const DryBreaker& a, const DryBreaker& b) {
  return a.head < b.head;
}

// How many of the last tokens come after the last breaker; all of them when there is none.
size_t tokens_since_breaker(std::span<const int32_t> window, std::span<const DryBreaker> breakers) {
  for (size_t after = 0; after < window.size(); ++after) {
    const size_t at = window.size() - 1 - after;
    const auto range = std::equal_range(breakers.begin(), breakers.end(), DryBreaker{window[at], {}}, by_head);
    ptrdiff_t longest = -1;
    for (auto b = range.first; b != range.second; ++b) {
      const auto tail = static_cast<ptrdiff_t>(b->tail.size());
      if (tail <= longest || b->tail.size() > after) continue;
      if (std::equal(b->tail.begin(), b->tail.end(), window.begin() + static_cast<ptrdiff_t>(at + 1))) longest = tail;
    }
    if (longest >= 0) return after - static_cast<size_t>(longest);
  }
  return window.size();
}

// match[k] = how many tokens before and at window[n - 1 - k] equal those before and at the window's end: the Z function
// of the reversed window (Gusfield, "Algorithms on Strings, Trees and Sequences", 1997, section 1.3).
void match_suffixes(std::span<const int32_t> window, std::vector<uint32_t>& match) {
  const size_t n = window.size();
  const auto reversed = [&](size_t i) { return window[n - 1 - i]; };
  if (match.size() < n) match.resize(n);  // not assign, which grows by what is asked for
  match[0] = 0;
  size_t left = 0;
  size_t right = 0;  // [left, right) is the match that reaches furthest
  for (size_t k = 1; k < n; ++k) {
    size_t length = k < right ? std::min<size_t>(right - k, match[k - left]) : 0;
    while (k + length < n && reversed(length) == reversed(k + length)) ++length;
    if (k + length > right) {
      left = k;
      right = k + length;
    }
    match[k] = static_cast<uint32_t>(length);
  }
}

}  // namespace

std::vector<DryBreaker> make_dry_breakers(std::span<const std::string> strings, const DryVocabulary& vocabulary) {
  std::vector<DryBreaker> breakers;
  for (const std::string& whole : strings) {
    const std::string_view text = std::string_view(whole).substr(0, kMaxBreakerBytes);
    if (text.empty()) continue;
    for (size_t id = 0; id < vocabulary.n_vocab; ++id) {
      const auto head = static_cast<int32_t>(id);
      const std::string_view piece = vocabulary.piece(head);
      if (piece.find(text) != std::string_view::npos) {
        breakers.push_back({head, {}});
        continue;
      }
      for (size_t overlap = std::min(piece.size(), text.size() - 1); overlap > 0; --overlap) {
        if (piece.substr(piece.size() - overlap) != text.substr(0, overlap)) continue;
        std::vector<int32_t> tail = vocabulary.tokenize(text.substr(overlap));
        if (tail.size() > kMaxTailTokens) tail.resize(kMaxTailTokens);
        breakers.push_back({head, std::move(tail)});
      }
    }
  }
  std::sort(breakers.begin(), breakers.end());
  return breakers;
}

std::span<const DryRepeat> dry_repeats(std::span<const int32_t> window, std::span<const DryBreaker> breakers,
                                       int32_t allowed_length, DryState& state) {
  state.repeats.clear();
  const size_t allowed = static_cast<size_t>(std::max(allowed_length, 1));
  if (window.size() <= allowed) return {};
  const size_t limit = tokens_since_breaker(window, breakers);
  if (limit < allowed) return {};
  match_suffixes(window, state.match);
  for (size_t k = 1; k < window.size(); ++k) {
    const size_t length = std::min<size_t>(state.match[k], limit);
    if (length < allowed) continue;
    state.repeats.push_back({window[window.size() - k], static_cast<uint32_t>(length)});
  }
  // The longest repeat of each token: by id, longest first, then the first of each.
  std::sort(state.repeats.begin(), state.repeats.end(), [](const DryRepeat& a, const DryRepeat& b) {
    return a.id < b.id || (a.id == b.id && a.length > b.length);
  });
  const auto end = std::unique(state.repeats.begin(), state.repeats.end(),
                               [](const DryRepeat& a, const DryRepeat& b) { return a.id == b.id; });
  state.repeats.erase(end, state.repeats.end());
  return state.repeats;
}

double dry_penalty(const DryParams& params, uint32_t length) {
  double exponent = static_cast<double>(length) - static_cast<double>(params.allowed_length);
  constexpr double kLogOfGreatestFloat = 88.7228391;
  if (params.base > 1.000001f) {
    exponent = std::min(exponent, std::trunc(kLogOfGreatestFloat / det_log(static_cast<double>(params.base))));
  }
  return static_cast<double>(params.multiplier) * det_pow(static_cast<double>(params.base), exponent);
}

}  // namespace quern
